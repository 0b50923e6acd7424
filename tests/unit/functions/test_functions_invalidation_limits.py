"""What may be sent now, and what an answer means."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.invalidation_limits import (
    CALLS_KNOWN_S,
    InProgress,
    Meaning,
    Room,
    halves,
    meaning_of,
    next_call_at,
    pause_s,
    room,
)

BEGUN = datetime(2026, 11, 25, 18, tzinfo=UTC)
AT_ONCE, EVERY_S = 3, 2.0


def at(second: float) -> datetime:
    """Return the instant so many seconds after the beginning."""
    return BEGUN + timedelta(seconds=second)


rows = st.lists(
    st.builds(InProgress, st.integers(0, 3_000), st.integers(0, 15), st.booleans()), max_size=6
)


@given(rows)
def test_there_is_never_room_past_the_limits(given_rows: list[InProgress]) -> None:
    """What is in progress and what may be sent are together 2,900 exact paths and 13 wildcards."""
    left = room(given_rows)
    going = [row for row in given_rows if not row.completed]
    assert left.exact == max(0, 2_900 - sum(row.exact for row in going))
    assert left.wildcards == max(0, 13 - sum(row.wildcards for row in going))


def test_rows_are_all_that_counts() -> None:
    """Exact paths and wildcards are counted apart, and what is completed is not."""
    assert room([]) == Room(2_900, 13)
    paths = ["/a", "/b/*", "/c*"]
    assert room([InProgress.of(paths), InProgress.of(paths, completed=True)]) == Room(2_899, 11)


def tokens_left(calls: Sequence[float]) -> float:
    """Return what is left in a bucket of three that was full at first, by its definition."""
    tokens, before = float(AT_ONCE), 0.0
    for call in calls:
        tokens = min(AT_ONCE, tokens + (call - before) / EVERY_S) - 1
        before = call
    return tokens


@given(st.lists(st.floats(0, 7), min_size=1, max_size=60), st.booleans())
def test_whoever_waits_as_told_never_calls_too_often(pauses: list[float], known: bool) -> None:
    """Three at once and one each 2 s, on whichever clock, though old calls are forgotten."""
    now, calls = 0.0, list[float]()
    for pause in pauses:
        now += pause
        since = 0.0 if known else now - CALLS_KNOWN_S
        allowed = next_call_at([at(call) for call in calls if call >= since], at(now))
        now = max(now, (allowed - BEGUN).total_seconds())
        calls.append(now)
        assert tokens_left(calls) >= -1e-5


def test_three_calls_go_at_once_and_then_one_each_two_seconds() -> None:
    """A small burst is free: an upload after a quiet time is not made to wait."""
    assert next_call_at([], at(0)) == at(0)
    assert next_call_at([at(0), at(0)], at(0)) == at(0)
    assert next_call_at([at(0)] * 3, at(0)) == at(2)
    assert next_call_at([at(0)] * 3, at(6)) == at(6)
    assert next_call_at([at(0)] * 6, at(0)) == at(8)


def test_whoever_always_calls_is_not_slowed_below_the_rate() -> None:
    """Forgetting what is old frees no call, and costs a busy account at most one in twenty."""
    now, calls = at(0), list[datetime]()
    while now < at(300):
        now = next_call_at(calls, now)
        calls.append(now)
        assert tokens_left([(call - BEGUN).total_seconds() for call in calls]) >= -1e-5
    assert len(calls) >= 143


def test_a_repeated_call_is_a_call() -> None:
    """The order in which rows are read makes no difference, nor how many are of one batch."""
    assert next_call_at([at(4), at(0), at(2), at(4), at(4)], at(4)) == at(6)


@pytest.mark.parametrize(
    ("code", "message", "status", "meaning"),
    [
        ("Throttling", "Rate exceeded", 400, Meaning.THROTTLED),
        ("Throttling", "Rate exceeded", 503, Meaning.THROTTLED),
        ("SomethingNew", "Slow down", 429, Meaning.THROTTLED),
        ("TooManyInvalidationsInProgress", "would exceed", 400, Meaning.FULL),
        ("InvalidArgument", "one or more invalid invalidation paths", 400, Meaning.BAD_PATHS),
        ("BatchTooLarge", "too large", 413, Meaning.BAD_PATHS),
        ("InvalidationBatchAlreadyExists", "", 409, Meaning.REFERENCE_TAKEN),
        (
            "InvalidArgument",
            "Your request contains a caller reference that was used for a previous batch",
            400,
            Meaning.REFERENCE_TAKEN,
        ),
        ("NoSuchDistribution", "does not exist", 404, Meaning.FORBIDDEN),
        ("AccessDenied", "not authorized", 403, Meaning.FORBIDDEN),
        ("ExpiredToken", "expired", 403, Meaning.FORBIDDEN),
        ("MissingBody", "", 400, Meaning.FORBIDDEN),
        ("ServiceUnavailable", "internal error", 503, Meaning.UNKNOWN),
        ("InternalError", "", 500, Meaning.UNKNOWN),
        ("RequestTimeout", "", 408, Meaning.UNKNOWN),
        ("", "", 408, Meaning.UNKNOWN),
        ("", "the connection was closed", None, Meaning.UNKNOWN),
        ("", "a proxy's page", 200, Meaning.UNKNOWN),
    ],
)
def test_each_answer_has_one_meaning(
    code: str, message: str, status: int | None, meaning: Meaning
) -> None:
    """Only what is certain to have made nothing frees the paths; a taken reference halves none."""
    assert meaning_of(code, message, status) is meaning


@given(code=st.text(), message=st.text(), status=st.none() | st.integers(500, 599))
def test_an_answer_that_nobody_knows_is_never_taken_for_a_refusal(
    code: str, message: str, status: int | None
) -> None:
    """A code that is not CloudFront's own, with a 5xx or without an answer, says nothing."""
    assert meaning_of(f"x{code}", message, status) is Meaning.UNKNOWN


@given(st.lists(st.integers(), min_size=2))
def test_halves_are_all_of_it_in_order_and_both_smaller(numbers: list[int]) -> None:
    """So halving ends at single paths and loses none."""
    paths = [f"/{number}" for number in numbers]
    first, second = halves(paths)
    assert [*first, *second] == paths
    assert 0 < len(second) <= len(first) < len(paths)


@given(meaning=st.sampled_from(Meaning), times=st.integers(1, 10_000))
def test_pauses_grow_and_end(meaning: Meaning, times: int) -> None:
    """Nothing is asked for in a hurry for ever, and nothing is given up."""
    assert pause_s(meaning, times) <= pause_s(meaning, times + 1) <= 600


def test_first_pauses() -> None:
    """The second time a throttled call waits twice as long; a bad path is looked for at once."""
    assert [pause_s(Meaning.THROTTLED, times) for times in (1, 2, 3, 9)] == [4, 8, 16, 60]
    assert pause_s(Meaning.BAD_PATHS, 5) == 0
