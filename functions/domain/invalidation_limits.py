"""What CloudFront lets us send now, derived from rows, and what its answers mean.

No counter is kept anywhere: a counter that a crash left wrong would stop the uploads or break the
limits, and rows are written before each call in any case.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Self

from functions.domain.wildcards import is_wildcard

MOST_EXACT: Final = 2_900
MOST_WILDCARDS: Final = 13
"""In progress on a distribution. CloudFront takes 3,000 exact paths and, counted apart, 15
wildcards; what is left free is for whoever invalidates by hand in the console."""

CALL_EVERY_S: Final = 2.0
CALLS_AT_ONCE: Final = 3
"""Of an account, whichever its distributions. Throttling was seen at six to seven in a row."""

CALLS_KNOWN_S: Final = 30.0
"""For how long back every call of the account must be known to `next_call_at`."""


@dataclass(frozen=True, slots=True)
class InProgress:
    """A batch's row. `completed`: CloudFront reported so, or the batch was refused and is over.

    Until then it counts, also while nobody knows whether CloudFront has it.
    """

    exact: int
    wildcards: int
    completed: bool = False

    @classmethod
    def of(cls, paths: Sequence[str], *, completed: bool = False) -> Self:
        """Return the row of a batch of these paths."""
        wildcards = sum(map(is_wildcard, paths))
        return cls(len(paths) - wildcards, wildcards, completed)


@dataclass(frozen=True, slots=True)
class Room:
    """How many exact paths and how many wildcards may be sent to a distribution now."""

    exact: int = MOST_EXACT
    wildcards: int = MOST_WILDCARDS


def room(rows: Iterable[InProgress]) -> Room:
    """Return the room that the rows of one distribution leave."""
    going = [row for row in rows if not row.completed]
    return Room(
        max(0, MOST_EXACT - sum(row.exact for row in going)),
        max(0, MOST_WILDCARDS - sum(row.wildcards for row in going)),
    )


def next_call_at(calls: Iterable[datetime], now: datetime) -> datetime:
    """Return when the account's next CreateInvalidation may be made: `now`, or later.

    A token bucket computed from the times of the calls of the last CALLS_KNOWN_S, repeated calls
    among them. It is taken for empty when they began, for a busy account may have emptied it
    before: so no call that is not known can let one through that is too early.
    """
    every = timedelta(seconds=CALL_EVERY_S)
    ahead = (CALLS_AT_ONCE - 1) * every
    since = now - timedelta(seconds=CALLS_KNOWN_S)
    full_at = since + CALLS_AT_ONCE * every
    for call in sorted(call for call in calls if call >= since):
        full_at = max(full_at, call) + every
    return max(now, full_at - ahead)


class Meaning(StrEnum):
    """What an error of CreateInvalidation means for the batch that was sent."""

    THROTTLED = "throttled"
    """Nothing was made: too many calls. Later, coalesced anew with what has come since."""
    FULL = "full"
    """Nothing was made: too much in progress. Likewise, when something has completed."""
    BAD_PATHS = "bad-paths"
    """Nothing was made, and never will be of these paths together: halve them."""
    REFERENCE_TAKEN = "reference-taken"
    """An invalidation with this caller reference exists: look it up before anything else."""
    FORBIDDEN = "forbidden"
    """Nothing was made, and somebody must act first: the paths go on waiting, and are asked for
    again now and then, since a permission or a distribution may yet come."""
    UNKNOWN = "unknown"
    """It may have been made: ask again with the same reference and the same paths."""


_BY_CODE: Final = {
    "Throttling": Meaning.THROTTLED,
    "ThrottlingException": Meaning.THROTTLED,
    "RequestLimitExceeded": Meaning.THROTTLED,
    "TooManyRequestsException": Meaning.THROTTLED,
    "TooManyInvalidationsInProgress": Meaning.FULL,
    "InvalidArgument": Meaning.BAD_PATHS,
    "BatchTooLarge": Meaning.BAD_PATHS,
    "InvalidationBatchAlreadyExists": Meaning.REFERENCE_TAKEN,
    "RequestTimeout": Meaning.UNKNOWN,
}
"""CreateInvalidation's own codes are those of the API reference; the general ones are botocore's.

AccessDenied, NoSuchDistribution, expired credentials, and what would be a defect of ours
(MissingBody, InconsistentQuantities) are the rest below 500: definite, and nothing to be halved.
"""

_CALLER_REFERENCE: Final = "caller reference"
_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS, _REFUSALS = 408, 429, range(400, 500)


def meaning_of(code: str, message: str, status: int | None) -> Meaning:
    """Return what an error means. `status`: the HTTP status, None where there was no answer.

    A reference that was used before is documented as InvalidationBatchAlreadyExists, and only for
    other paths; what users report is an InvalidArgument that says "Your request contains a caller
    reference that was used for a previous invalidation batch", also for the same paths. Halving
    would be wrong there.
    """
    meaning = _BY_CODE.get(code)
    if meaning is Meaning.BAD_PATHS and _CALLER_REFERENCE in message.lower():
        return Meaning.REFERENCE_TAKEN
    if meaning is not None:
        return meaning
    if status == _TOO_MANY_REQUESTS:
        return Meaning.THROTTLED
    if status in _REFUSALS and status != _REQUEST_TIMEOUT:
        return Meaning.FORBIDDEN
    return Meaning.UNKNOWN


_PAUSES_S: Final = {
    Meaning.THROTTLED: (4.0, 60.0),
    Meaning.FULL: (10.0, 60.0),
    Meaning.BAD_PATHS: (0.0, 0.0),
    Meaning.REFERENCE_TAKEN: (5.0, 60.0),
    Meaning.FORBIDDEN: (60.0, 600.0),
    Meaning.UNKNOWN: (5.0, 60.0),
}
"""The first pause and the longest. What is in progress completes within 25 s (95th percentile)."""


def pause_s(meaning: Meaning, times: int) -> float:
    """Return the seconds until the next call after so many such answers in a row, from 1."""
    first, longest = _PAUSES_S[meaning]
    # 2 ** 16 of any first pause is past the longest one, and a float can hold it
    return min(longest, math.ldexp(first, min(times, 16) - 1))


def halves(paths: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the paths in two parts, in their order; the first is the longer, neither is empty.

    Only of two or more: a single path that is refused is to be set aside.
    """
    middle = (len(paths) + 1) // 2
    return tuple(paths[:middle]), tuple(paths[middle:])
