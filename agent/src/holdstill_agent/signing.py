"""Signatures that SQS takes although this host's clock is wrong.

AWS refuses a signature that is more than five minutes off. An agent that is refused everywhere
could not even say why it does not serve: its runs would end unheard of. So once SQS has refused,
and told the time, requests are signed by that time, until it refuses again: the clock may have
been mended meanwhile. Nothing else goes by it: how wrong the clock is stays measured
(`holdstill_agent.queues.skew`), and each command is refused for it, by name.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar, Final

from botocore.auth import AUTH_TYPE_MAPS, SIGV4_TIMESTAMP, SigV4Auth

from holdstill_agent.clock import of_date_header, wall

VERSION: Final = "v4-by-the-queues-clock"
"""For botocore: the name of the signature's version."""

_REFUSED: Final = (400, 403)
_WRONG_S: Final = 60.0  # AWS bears 300: with less than this it refused for another reason


class QueuesClockAuth(SigV4Auth):
    """Version 4, by this host's clock less `ahead`.

    botocore looks for credentials once, when a client is made. A host that boots may get its role
    later than its agent starts: `find_credentials` is asked as long as there are none.
    """

    ahead: ClassVar = timedelta(0)
    find_credentials: ClassVar[Callable[[], Any]] = staticmethod(lambda: None)

    def add_auth(self, request: Any) -> None:
        """Sign; NoCredentialsError where there are none, still."""
        if self.credentials is None and (found := self.find_credentials()):
            self.credentials = found.get_frozen_credentials()
        super().add_auth(request)

    def _modify_request_before_signing(self, request: Any) -> None:
        """Set the signature's time; what follows takes it from there."""
        request.context["timestamp"] = (wall() - self.ahead).strftime(SIGV4_TIMESTAMP)
        super()._modify_request_before_signing(request)  # type: ignore[misc]  # not in the stubs


def install(find_credentials: Callable[[], Any]) -> None:
    """Make the version known to botocore. `find_credentials` returns a session's, or None."""
    AUTH_TYPE_MAPS[VERSION] = QueuesClockAuth
    QueuesClockAuth.find_credentials = staticmethod(find_credentials)


def heed(http_response: Any, **_: object) -> None:
    """Take the time from an answer that refuses, or this host's own where that is near it."""
    if http_response.status_code not in _REFUSED:
        return
    if queue_now := of_date_header(http_response.headers.get("date")):
        ahead = wall() - queue_now
        is_wrong = abs(ahead.total_seconds()) > _WRONG_S
        QueuesClockAuth.ahead = ahead if is_wrong else timedelta(0)
