"""The account's budget of API calls: a bucket that refills."""


class CallBudget:
    """How many calls may still be made; full at first."""

    def __init__(self) -> None:
        self._spent = 0.0
        self._at_s = 0.0

    def take(self, now_s: float, *, calls_per_s: float, burst: int) -> bool:
        """Spend one call and return whether there was one left.

        `now_s` is of any clock that only goes forward. A refused call costs nothing: a caller
        that keeps asking gets its share all the same.
        """
        self._spent = max(self._spent - (now_s - self._at_s) * calls_per_s, 0.0)
        self._at_s = now_s
        if self._spent + 1 > burst:
            return False
        self._spent += 1
        return True
