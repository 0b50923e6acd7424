"""For how long the wall clock has not been set: an age by that clock is certain for so long."""

import time
from collections.abc import Callable

from holdstill_agent.clock import monotonic_ms

_SET_BY_MS = 50  # less is rounding, and the reading that this one is compared with


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class WallClock:
    """Watches the wall clock beside the monotonic one: NTP slews both alike, who sets it one.

    It is read only when asked: set to and fro between two looks, it seems steady. The loop looks
    whenever it wakes, under systemd's watchdog at least every ten seconds.
    """

    def __init__(
        self,
        wall_ms: Callable[[], int] = _wall_ms,
        monotonic_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        self._wall_ms = wall_ms
        self._monotonic_ms = monotonic_ms
        self._since_ms = monotonic_ms()
        self._ahead_ms = wall_ms() - self._since_ms

    def look(self) -> None:
        """Notice whether it was set."""
        self.steady_ms()

    def steady_ms(self) -> int:
        """Return the time since it was first read, or was found to have been set.

        The scheduler may come between two readings: what that explains is no clock that was set.
        """
        before_ms = self._monotonic_ms()
        wall_ms = self._wall_ms()
        now_ms = self._monotonic_ms()
        least_ms, most_ms = wall_ms - now_ms - _SET_BY_MS, wall_ms - before_ms + _SET_BY_MS
        if not least_ms <= self._ahead_ms <= most_ms:
            self._since_ms, self._ahead_ms = now_ms, wall_ms - now_ms
        return now_ms - self._since_ms


WALL_CLOCK = WallClock()
