"""When it is looked whether an invalidation has completed: often at first, seldom later."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from functions.domain.batch import BatchState
from functions.domain.completion import going_on, look_every_s, next_look_at, to_give_up
from functions.domain.invalidation_limits import MOST_EXACT, room
from functions.domain.invalidation_record import Record

EPOCH = datetime(2026, 11, 25, 18, 0, tzinfo=UTC)
MADE = Record(
    "E1",
    "1",
    2,
    1,
    EPOCH,
    state=BatchState.ANSWERED,
    asked_at=EPOCH,
    invalidation_id="I1",
    created_at=EPOCH,
    settled=True,
)
AGES_S = st.floats(0, 1e7)


def after(seconds: float) -> datetime:
    """Return the instant so long after MADE was asked for."""
    return EPOCH + timedelta(seconds=seconds)


@given(AGES_S)
def test_a_look_is_soon_while_it_may_matter_and_never_far_off(age_s: float) -> None:
    """Late by ten seconds or by a thirtieth of what it took, and by 15 minutes at most."""
    every_s = look_every_s(age_s)
    assert 10 <= every_s <= 900
    assert every_s <= max(10, age_s / 30)
    assert every_s == 10 or age_s > 300


def test_a_day_of_looks_is_some_hundreds() -> None:
    """It was 8,640, each day, for ever."""
    record, looks = MADE, 0
    at = next_look_at([record])
    while looks < 1_000 and at is not None and not to_give_up(record, at):
        record, looks = replace(record, looked_at=at), looks + 1
        at = next_look_at([record])
    assert at is not None
    assert 100 < looks < 300
    assert after(86_400) <= at <= after(87_300)


def test_the_first_look_is_when_something_may_have_completed() -> None:
    """Of the oldest; one that was asked for later is looked at together with it."""
    later = replace(MADE, batch_id="2", asked_at=after(5))
    assert next_look_at([MADE, later]) == after(8)
    assert next_look_at([replace(MADE, looked_at=after(8)), later]) == after(18)
    assert next_look_at([replace(MADE, asked_at=None)]) == after(8)
    assert next_look_at([]) is None


def test_an_old_one_makes_nobody_look_late_at_a_new_one() -> None:
    """Each is looked at as its own age has it."""
    old = replace(MADE, looked_at=after(7_200))
    new = replace(MADE, batch_id="2", asked_at=after(7_201))
    assert next_look_at([old]) == after(7_200 + 240)
    assert next_look_at([old, new]) == after(7_210)


@given(AGES_S)
def test_it_is_given_up_after_a_day(age_s: float) -> None:
    """And not before, however often it was looked at."""
    assert to_give_up(MADE, after(age_s)) is (age_s >= 86_400)


def test_what_is_going_on_counts_until_it_is_given_up() -> None:
    """It may well be in progress: the limits know of it, and then no more."""
    assert going_on([MADE]) == [MADE]
    assert MADE.open
    assert room([MADE.in_progress]).exact == MOST_EXACT - 2
    over = replace(MADE, given_up_at=after(86_400))
    assert going_on([over]) == []
    assert not over.open
    assert replace(over, settled=False).open
    assert room([over.in_progress]).exact == MOST_EXACT


def test_only_what_cloudfront_has_is_looked_at() -> None:
    """Nothing can be said of what has no answer, nor need it be of what is completed."""
    assert going_on([replace(MADE, state=BatchState.UNKNOWN)]) == []
    assert going_on([replace(MADE, completed_at=after(20))]) == []
