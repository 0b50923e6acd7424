"""The two clocks, each where it belongs: monotonic for durations, wall for what others wrote."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Pause = Callable[[float], bool]
"""Waits that many seconds; returns whether it is worth going on."""


def monotonic_ms() -> int:
    """Return the host's monotonic clock in milliseconds."""
    return time.monotonic_ns() // 1_000_000


def wall() -> datetime:
    """Return the host's wall clock: an aware UTC datetime."""
    return datetime.now(UTC)
