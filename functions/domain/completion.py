"""When to look whether invalidations have completed, and when to give one up: derived from rows."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from functions.domain.batch import BatchState
from functions.domain.invalidation_record import Record

LOOK_AFTER_S: Final = 8.0
LOOK_EVERY_S: Final = 10.0
"""An invalidation completes within 25 s (95th percentile); each look is a call of the account."""

LOOK_SELDOM_S: Final = 900.0
"""The longest between two looks, and what a wake can be delayed by."""

GIVEN_UP_AFTER_S: Final = 86_400.0
"""3,000 times what nearly all take: no bad day of CloudFront is so long. Given up too early, an
invalidation costs a refusal as full, which is tried again; never given up, it takes its room and
the account's calls for good."""

_SHARE_OF_AGE: Final = 30


def going_on(records: Sequence[Record]) -> list[Record]:
    """Return those that CloudFront has made and that are not over, in their order."""
    return [
        record for record in records if record.state is BatchState.ANSWERED and _goes_on(record)
    ]


def next_look_at(going: Sequence[Record]) -> datetime | None:
    """Return when to look at what is going on; None where nothing is.

    One look is for all of it, and is remembered by one of the records.
    """
    looks = [record.looked_at for record in going if record.looked_at is not None]
    last_at = max(looks, default=None)
    return min((_next_at(_asked_at(record), last_at) for record in going), default=None)


def look_every_s(age_s: float) -> float:
    """Return the seconds until the next look at what was asked for so long ago.

    A thirtieth of its age: every ten seconds for five minutes, every two minutes after an hour, and
    a completion is seen late by little of what it took.
    """
    return min(LOOK_SELDOM_S, max(LOOK_EVERY_S, age_s / _SHARE_OF_AGE))


def to_give_up(record: Record, now: datetime) -> bool:
    """Return whether nobody is to wait any longer for the completion of what is going on."""
    return (now - _asked_at(record)).total_seconds() >= GIVEN_UP_AFTER_S


def _goes_on(record: Record) -> bool:
    return record.completed_at is None and record.given_up_at is None


def _asked_at(record: Record) -> datetime:
    return record.asked_at or record.stored_at


def _next_at(asked_at: datetime, last_at: datetime | None) -> datetime:
    first_at = asked_at + timedelta(seconds=LOOK_AFTER_S)
    if last_at is None:
        return first_at
    age_s = (last_at - asked_at).total_seconds()
    return max(first_at, last_at + timedelta(seconds=look_every_s(age_s)))
