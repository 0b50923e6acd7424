"""EventBridge Scheduler's expressions: cron(), rate() and at(), and how a start is moved.

The dialect is AWS's own (six fields, `?`, `L`, `W`, `#`). Source: "Schedule types on EventBridge
Scheduler" and "Cron expressions reference" of the AWS documentation.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Self

from infra.configuration.cron_fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    HOUR,
    MINUTE,
    MONTH,
    YEAR,
    CronFieldError,
)

FORMS: Final = "cron(0 3 * * ? *), rate(6 hours) or at(2030-01-31T03:00:00)"
_DAY_MINUTES: Final = 24 * 60
_RATE: Final = re.compile(r"([1-9][0-9]{0,4}) (minute|hour|day)(s?)")
_AT_FORMAT: Final = "%Y-%m-%dT%H:%M:%S"


class ScheduleError(ValueError):
    """The text is no schedule of EventBridge Scheduler; the message says what it must be."""


class SpreadError(ValueError):
    """The schedule's start cannot be moved by so much; the message says how to make room."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A calendar schedule, its six fields as they were written."""

    minute: str
    hour: str
    day_of_month: str
    month: str
    day_of_week: str
    year: str

    def __str__(self) -> str:
        """Return the expression, one space between the fields."""
        days = f"{self.day_of_month} {self.month} {self.day_of_week} {self.year}"
        return f"cron({self.minute} {self.hour} {days})"

    @classmethod
    def parse(cls, fields: str) -> Self:
        """Read what stands between the brackets, or raise ScheduleError."""
        parts = fields.split()
        if len(parts) != len(cls.__dataclass_fields__):
            raise ScheduleError(
                "cron() takes six fields, minute hour day-of-month month day-of-week year, "
                f"as in cron(0 3 * * ? *), not {len(parts)}"
            )
        wrong = []
        for field, part in zip(
            (MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK, YEAR), parts, strict=True
        ):
            try:
                field.check(part)
            except CronFieldError as error:
                wrong.append(str(error))
        cron = cls(*parts)
        if (cron.day_of_month == "?") == (cron.day_of_week == "?"):
            wrong.append("exactly one of day-of-month and day-of-week must be ?")
        if wrong:
            raise ScheduleError("; ".join(wrong))
        return cron

    def moved(self, minutes: int) -> Self:
        """Return the same days, each start so many minutes later, or raise SpreadError.

        All starts of a day are moved as one set: a start may cross midnight only if every day
        is a day of this schedule, and the moved set must be a set of minutes in a set of hours,
        because that is all that the two fields can say.
        """
        if minutes == 0:
            return self
        starts = {
            hour * 60 + minute + minutes
            for hour in HOUR.numbers(self.hour)
            for minute in MINUTE.numbers(self.minute)
        }
        if max(starts) >= _DAY_MINUTES and not self._every_day:
            raise SpreadError("would start on the next day: move its start to an earlier hour")
        hours = {start // 60 % 24 for start in starts}
        minute_set = {start % 60 for start in starts}
        if len(hours) * len(minute_set) != len(starts):
            raise SpreadError(
                "would need different minutes in different hours, which one cron() cannot say"
            )
        return replace(self, minute=MINUTE.written(minute_set), hour=HOUR.written(hours))

    @property
    def _every_day(self) -> bool:
        days = {self.day_of_month, self.day_of_week}
        return days == {"*", "?"} and self.month == self.year == "*"


@dataclass(frozen=True, slots=True)
class Rate:
    """A start every so often, counted from the schedule's creation."""

    every: str

    def __str__(self) -> str:
        """Return the expression."""
        return f"rate({self.every})"

    @classmethod
    def parse(cls, every: str) -> Self:
        """Read what stands between the brackets, or raise ScheduleError."""
        found = _RATE.fullmatch(every)
        if not found or (found[1] == "1") == bool(found[3]):
            raise ScheduleError(
                "rate() takes a number and a unit, as in rate(1 hour), rate(90 minutes) "
                f'or rate(2 days), not "{every}"'
            )
        return cls(every)

    def moved(self, minutes: int) -> Self:
        """Return itself for 0 minutes, else raise SpreadError."""
        if minutes:
            raise SpreadError(
                "rate() counts from the moment when each schedule is created, so there is no "
                "start to move: set spread_minutes = 0, or use cron()"
            )
        return self


@dataclass(frozen=True, slots=True)
class At:
    """One start, in the policy's time zone: a naive time, as Scheduler takes it."""

    time: datetime

    def __str__(self) -> str:
        """Return the expression."""
        return f"at({self.time.strftime(_AT_FORMAT)})"

    @classmethod
    def parse(cls, time: str) -> Self:
        """Read what stands between the brackets, or raise ScheduleError."""
        try:
            return cls(datetime.strptime(time, _AT_FORMAT))  # noqa: DTZ007  the zone is a key
        except ValueError:
            raise ScheduleError(
                "at() takes a local date and time without a zone, "
                f'as in at(2030-01-31T03:00:00), not "{time}"'
            ) from None

    def moved(self, minutes: int) -> Self:
        """Return the same start so many minutes later."""
        return replace(self, time=self.time + timedelta(minutes=minutes))


Schedule = Cron | Rate | At


def parse_schedule(text: str) -> Schedule:
    """Read a schedule expression, or raise ScheduleError with what is wrong."""
    found = re.fullmatch(r"(cron|rate|at)\((.*)\)", text)
    match found and found.groups():
        case "cron", fields:
            return Cron.parse(fields)
        case "rate", every:
            return Rate.parse(every)
        case "at", time:
            return At.parse(time)
        case _:
            raise ScheduleError(f'must be of the form {FORMS}, not "{text}"')


def stable_offset(name: str, spread_minutes: int) -> int:
    """Return minutes from 0 to below the spread that follow from the name alone.

    The word before the name keeps it independent of the fleet, which is a hash of the name too.
    """
    if spread_minutes == 0:
        return 0
    return int(hashlib.sha256(f"offset {name}".encode()).hexdigest(), 16) % spread_minutes
