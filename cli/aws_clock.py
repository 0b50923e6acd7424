"""AWS's own time, by the `Date` of an answer: the clock of whoever types may be minutes off.

What is asked for is compared with the times of CloudFront's answers. Stamped by a slow clock it
would count as cleared by an invalidation that was made before it was asked for.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from cli.errors import NoAnswerError
from functions.ports import Clock

_WHOLE: Final = timedelta(seconds=1)
"""An HTTP date has no fraction of a second (RFC 9110, 5.6.7): the true one is less than this
later."""


class AwsClock:
    """A clock that an answer of AWS sets, and that this machine's monotonic clock moves on.

    `wall` is never before AWS's time, and after it by less than 1 s and an answer's way here: until
    the machine sleeps, through which its monotonic clock stands still. The next answer mends that.
    """

    def __init__(self, local: Clock) -> None:
        self._local = local
        self._sent_ns = 0
        self._date = ""

    def follow(self, client: Any) -> None:
        """Be set by each answer that a client of botocore gets."""
        client.meta.events.register("before-send.*", self.sent)
        client.meta.events.register("after-call.*", self.answered)

    def sent(self, **_: object) -> None:
        """Note when a request is sent: anew for each try, of which only the last is answered."""
        self._sent_ns = self._local.now_ns()

    def answered(self, http_response: Any, **_: object) -> None:
        """Note the time in its answer."""
        self._date = http_response.headers.get("date", "")

    def now_ns(self) -> int:
        """Return this machine's monotonic clock, in nanoseconds."""
        return self._local.now_ns()

    def wall(self) -> datetime:
        """Return AWS's time, in UTC. Raise NoAnswerError where no answer has told it."""
        try:
            told = parsedate_to_datetime(self._date).astimezone(UTC)
        except ValueError as error:
            raise NoAnswerError(
                f'AWS\'s answer has no time (its Date is "{self._date}"), which an invalidation '
                "needs: is there a proxy between that drops it?"
            ) from error
        # as if it was answered the moment it was sent: sooner is impossible
        since = timedelta(microseconds=(self._local.now_ns() - self._sent_ns) / 1000)
        return told + _WHOLE + since

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._local.sleep(seconds)
