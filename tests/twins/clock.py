"""A clock that only a test, or somebody's waiting, moves."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 11, 25, 18, 0, tzinfo=UTC)


class TwinClock:
    """Monotonic and wall clock of one world; both start where nobody would expect 0."""

    def __init__(self) -> None:
        self._ns = 5_000_000_000
        self._start_ns = self._ns

    def now_ns(self) -> int:
        """Return the monotonic clock, in nanoseconds."""
        return self._ns

    @property
    def now_ms(self) -> int:
        """The monotonic clock, in milliseconds."""
        return self._ns // 1_000_000

    def wall(self) -> datetime:
        """Return the wall clock."""
        return EPOCH + timedelta(microseconds=(self._ns - self._start_ns) // 1000)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._ns += max(0, round(seconds * 1e9))
