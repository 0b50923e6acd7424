"""Signatures that SQS takes although this host's clock is wrong.

AWS refuses a signature that is more than five minutes off. An agent that is refused everywhere
could not even say why it does not serve: its runs would end unheard of. So once SQS has refused,
and told the time, requests are signed by that time. Nothing else goes by it: how wrong the clock
is stays measured (`holdstill_agent.queues.skew`), and each command is refused for it, by name.
"""

from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Final

from botocore.auth import AUTH_TYPE_MAPS, SIGV4_TIMESTAMP, SigV4Auth

from holdstill_agent.clock import wall

VERSION: Final = "v4-by-the-queues-clock"
"""For botocore: the name of the signature's version."""

_REFUSED: Final = (400, 403)
_WRONG_S: Final = 60.0  # AWS bears 300: with less than this it refused for another reason


class QueuesClockAuth(SigV4Auth):
    """Version 4, by this host's clock less `ahead`."""

    ahead: ClassVar = timedelta(0)

    def _modify_request_before_signing(self, request: Any) -> None:
        """Set the signature's time; what follows takes it from there."""
        request.context["timestamp"] = (wall() - self.ahead).strftime(SIGV4_TIMESTAMP)
        super()._modify_request_before_signing(request)  # type: ignore[misc]  # not in the stubs


def install() -> None:
    """Make the version known to botocore."""
    AUTH_TYPE_MAPS[VERSION] = QueuesClockAuth


def heed(http_response: Any, **_: object) -> None:
    """Take the time from an answer that refuses, if this host's is far from it."""
    date = http_response.headers.get("date")
    if http_response.status_code not in _REFUSED or not date:
        return
    ahead = wall() - parsedate_to_datetime(date).astimezone(UTC)
    if abs(ahead.total_seconds()) > _WRONG_S:
        QueuesClockAuth.ahead = ahead
