"""This process's clocks."""

import time
from datetime import UTC, datetime


class SystemClock:
    """The system's monotonic and wall clocks."""

    def now_ns(self) -> int:
        """Return the monotonic clock, in nanoseconds."""
        return time.monotonic_ns()

    def wall(self) -> datetime:
        """Return the wall clock, in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait; not at all where it is too late to."""
        time.sleep(max(0.0, seconds))
