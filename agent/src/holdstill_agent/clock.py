"""The two clocks, each where it belongs: monotonic for durations, wall for what others wrote."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

Pause = Callable[[float], bool]
"""Waits that many seconds; returns whether it is worth going on."""

_YEARS: Final = range(2000, 3000)


def monotonic_ms() -> int:
    """Return the host's monotonic clock in milliseconds."""
    return time.monotonic_ns() // 1_000_000


def wall() -> datetime:
    """Return the host's wall clock: an aware UTC datetime."""
    return datetime.now(UTC)


def of_date_header(text: str | None) -> datetime | None:
    """Return the instant, aware and in UTC, of an HTTP answer's Date; None where it tells none.

    Anybody on the way may have written it. A year that no clock of SQS shows would take what is
    computed with it out of the calendar.
    """
    with suppress(ValueError, OverflowError):
        at = parsedate_to_datetime(text or "")
        # "-0000" for an offset leaves it naive: astimezone would take that for local time.
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
        return at if at.year in _YEARS else None
    return None
