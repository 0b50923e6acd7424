"""Schedules: EventBridge's dialect, and starts that move without moving a day."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.configuration.cron_fields import HOUR, MINUTE
from infra.configuration.schedules import (
    Cron,
    ScheduleError,
    SpreadError,
    parse_schedule,
    stable_offset,
)

DAY = 24 * 60


@pytest.mark.parametrize(
    "text",
    [
        "cron(0 10 * * ? *)",
        "cron(15 12 * * ? *)",
        "cron(0 18 ? * MON-FRI *)",
        "cron(0 8 1 * ? *)",
        "cron(0/15 * * * ? *)",
        "cron(*/5 * ? * * *)",
        "cron(0/10 * ? * MON-FRI *)",
        "cron(0/5 8-17 ? * MON-FRI *)",
        "cron(0/30 2-20/3 * * ? *)",
        "cron(0 10 ? * 6L 2027-2030)",
        "cron(0 10 ? * 3#2 *)",
        "cron(0 10 ? * mon#1 *)",
        "cron(0 10 L * ? *)",
        "cron(0 10 15W * ? *)",
        "cron(0 10 ? JAN,jul,12 2-6 2199)",
        "cron(0 10 1,15,31 1/3 ? 1970/10)",
        "rate(1 minute)",
        "rate(90 minutes)",
        "rate(1 hour)",
        "rate(2 days)",
        "at(2030-01-31T03:00:00)",
    ],
)
def test_what_scheduler_takes_is_taken_as_it_stands(text: str) -> None:
    """Every form that AWS documents is read, and written back unchanged."""
    assert str(parse_schedule(text)) == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0 3 * * ? *", "must be of the form cron"),
        ("cron(0 3 * * ?)", "six fields"),
        ("cron(60 3 * * ? *)", "minute must be 0-59"),
        ("cron(-1 3 * * ? *)", "minute must be 0-59"),
        ("cron(0 24 * * ? *)", "hour must be 0-23"),
        ("cron(0 3 0 * ? *)", "day-of-month must be 1-31"),
        ("cron(0 3 32W * ? *)", "day-of-month must be 1-31"),
        ("cron(0 3 * 13 ? *)", "month must be 1-12"),
        ("cron(0 3 * JANUARY ? *)", "month must be 1-12"),
        ("cron(0 3 ? * 0 *)", "day-of-week must be 1-7"),
        ("cron(0 3 ? * 3#6 *)", "day-of-week must be 1-7"),
        ("cron(0 3 ? * 3#1,6#3 *)", "day-of-week must be 1-7"),
        ("cron(0 3 * * ? 1969)", "year must be 1970-2199"),
        ("cron(0 3 * * * *)", "exactly one of day-of-month and day-of-week must be ?"),
        ("cron(0 3 ? * ? *)", "exactly one of day-of-month and day-of-week must be ?"),
        ("cron(? 3 * * ? *)", "minute must be 0-59"),
        ("cron(5-1 3 * * ? *)", "minute must be 0-59"),
        ("cron(0/0 3 * * ? *)", "minute must be 0-59"),
        ("cron(0/ 3 * * ? *)", "minute must be 0-59"),
        ("cron(1, 3 * * ? *)", "minute must be 0-59"),
        ("cron(٣ 3 * * ? *)", "minute must be 0-59"),
        ("cron(0 L * * ? *)", "hour must be 0-23"),
        ("rate(0 minutes)", "rate() takes a number and a unit"),
        ("rate(1 minutes)", "rate() takes a number and a unit"),
        ("rate(5 minute)", "rate() takes a number and a unit"),
        ("rate(5 seconds)", "rate() takes a number and a unit"),
        ("at(2030-02-30T03:00:00)", "at() takes a local date and time"),
        ("at(2030-01-31T03:00:00Z)", "at() takes a local date and time"),
    ],
)
def test_what_scheduler_refuses_is_refused_with_a_reason(text: str, sentence: str) -> None:
    """The deployment would fail much later, and say less."""
    with pytest.raises(ScheduleError) as caught:
        parse_schedule(text)
    assert sentence in str(caught.value)


def test_all_wrong_fields_of_a_cron_are_named_together() -> None:
    """Two wrong fields are one look at the file."""
    with pytest.raises(ScheduleError, match=r"minute must be .*; hour must be "):
        parse_schedule("cron(99 99 * * ? *)")


@pytest.mark.parametrize(
    ("before", "minutes", "after"),
    [
        ("cron(0 3 * * ? *)", 0, "cron(0 3 * * ? *)"),
        ("cron(0 3 * * ? *)", 17, "cron(17 3 * * ? *)"),
        ("cron(50 3 ? * MON *)", 17, "cron(7 4 ? * MON *)"),
        ("cron(30 3,15 L * ? *)", 45, "cron(15 4,16 L * ? *)"),
        ("cron(0/15 * * * ? *)", 20, "cron(5,20,35,50 * * * ? *)"),
        ("cron(0 0/6 1 * ? *)", 61, "cron(1 1,7,13,19 1 * ? *)"),
        ("cron(50 23 * * ? *)", 17, "cron(7 0 * * ? *)"),
        ("at(2030-01-31T23:50:00)", 17, "at(2030-02-01T00:07:00)"),
    ],
)
def test_a_start_moves_and_its_days_stay(before: str, minutes: int, after: str) -> None:
    """The hour carries; midnight is crossed only where every day is meant, or one date."""
    assert str(parse_schedule(before).moved(minutes)) == after


@pytest.mark.parametrize(
    ("text", "minutes", "sentence"),
    [
        ("cron(50 23 ? * MON *)", 10, "would start on the next day"),
        ("cron(50 23 * 6 ? *)", 10, "would start on the next day"),
        ("cron(0,30 3 * * ? *)", 40, "different minutes in different hours"),
        ("rate(6 hours)", 1, "no start to move"),
    ],
)
def test_a_start_that_cannot_move_says_why(text: str, minutes: int, sentence: str) -> None:
    """What one cron() cannot say is not said approximately."""
    with pytest.raises(SpreadError, match=sentence):
        parse_schedule(text).moved(minutes)


def starts(cron: Cron) -> set[int]:
    """Return the minutes of the day at which a schedule starts."""
    return {60 * hour + m for hour in HOUR.numbers(cron.hour) for m in MINUTE.numbers(cron.minute)}


@given(
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=6),
    hours=st.sets(st.integers(0, 23), min_size=1),
    every_day=st.booleans(),
    offset=st.integers(0, 720),
)
def test_every_start_moves_by_the_offset_or_none_does(
    minutes: set[int], hours: set[int], every_day: bool, offset: int
) -> None:
    """A moved schedule has exactly the old starts, each so many minutes later."""
    weekday = "?" if every_day else "MON"
    monthday = "*" if every_day else "?"
    cron = Cron(MINUTE.written(minutes), HOUR.written(hours), monthday, "*", weekday, "*")
    try:
        moved = cron.moved(offset)
    except SpreadError:
        return
    assert starts(moved) == {(start + offset) % DAY for start in starts(cron)}
    assert every_day or max(starts(cron)) + offset < DAY
    assert parse_schedule(str(moved)) == moved


def test_an_offset_is_stable_and_fills_the_spread() -> None:
    """It follows from the name alone, and a fleet uses all the minutes there are."""
    assert [stable_offset(name, 30) for name in ("recipes-db", "orders-db")] == [1, 17]
    assert stable_offset("recipes-db", 0) == 0
    offsets = [stable_offset(f"db-{number}", 30) for number in range(1000)]
    assert set(offsets) == set(range(30))
    assert max(offsets.count(minute) for minute in range(30)) < 2 * 1000 / 30
