"""The six fields of EventBridge's cron(): which values each takes, and what they mean.

Source: "Cron expressions reference", AWS documentation. AWS's page gives no grammar; where it
leaves something open (a range that runs backwards, `LW`), only what it shows is accepted.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

_MONTHS: Final = (
    *("JAN", "FEB", "MAR", "APR", "MAY", "JUN"),
    *("JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
)
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_PART: Final = re.compile(
    r"(?:\*|(?P<first>[A-Z0-9]{1,4})(?:-(?P<last>[A-Z0-9]{1,4}))?)(?:/(?P<step>[0-9]{1,3}))?",
    re.ASCII | re.IGNORECASE,
)


class CronFieldError(ValueError):
    """The field does not take this value; the message says what it takes."""


@dataclass(frozen=True, slots=True)
class CronField:
    """One field: its range, the names of its values, and the special forms that it alone takes."""

    name: str
    low: int
    high: int
    takes: str
    names: tuple[str, ...] = ()
    special: re.Pattern[str] | None = None

    def check(self, text: str) -> None:
        """Raise CronFieldError unless the field takes this text."""
        if self.special is None or not self.special.fullmatch(text):
            self.numbers(text)

    def numbers(self, text: str) -> frozenset[int]:
        """Return the values that a text without a special form stands for."""
        return frozenset().union(*(self._part(part, text) for part in text.split(",")))

    def written(self, values: Collection[int]) -> str:
        """Return the shortest text for these values that is easy to read: a list, or `*`."""
        everything = len(values) == self.high - self.low + 1
        return "*" if everything else ",".join(str(value) for value in sorted(values))

    def _part(self, part: str, text: str) -> range:
        found = _PART.fullmatch(part)
        if not found:
            raise self._refusal(text)
        first, last, step = found["first"], found["last"], found["step"]
        low = self._value(first, text) if first else self.low
        high = self._value(last, text) if last else self.high
        if first and not last and not step:
            high = low
        if high < low or (step and not 1 <= int(step) <= self.high):
            raise self._refusal(text)
        return range(low, high + 1, int(step or 1))

    def _value(self, word: str, text: str) -> int:
        if word.upper() in self.names:
            return self.low + self.names.index(word.upper())
        if not word.isdecimal() or not self.low <= int(word) <= self.high:
            raise self._refusal(text)
        return int(word)

    def _refusal(self, text: str) -> CronFieldError:
        return CronFieldError(f'{self.name} must be {self.takes}, not "{text}"')


_LISTS: Final = "lists (1,15), ranges (1-5) and steps (0/10)"
MINUTE: Final = CronField("minute", 0, 59, f"0-59 or *, with {_LISTS}")
HOUR: Final = CronField("hour", 0, 23, f"0-23 or *, with {_LISTS}")
DAY_OF_MONTH: Final = CronField(
    "day-of-month",
    1,
    31,
    f"1-31, *, ?, L (the last day) or 15W (the weekday nearest the 15th), with {_LISTS}",
    special=re.compile(r"\?|L|(0?[1-9]|[12][0-9]|3[01])W"),
)
MONTH: Final = CronField("month", 1, 12, f"1-12, JAN-DEC or *, with {_LISTS}", names=_MONTHS)
DAY_OF_WEEK: Final = CronField(
    "day-of-week",
    1,
    7,
    f"1-7 (1 is Sunday), SUN-SAT, *, ?, L, 6L (the last Friday) or 3#2 (the second Tuesday), "
    f"with {_LISTS}",
    names=_DAYS,
    special=re.compile(rf"\?|L|([1-7]|{'|'.join(_DAYS)})(L|#[1-5])", re.IGNORECASE),
)
YEAR: Final = CronField("year", 1970, 2199, "1970-2199 or *, with lists, ranges and steps")
