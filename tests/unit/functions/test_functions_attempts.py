"""Whether to try again, and when."""

from hypothesis import given
from hypothesis import strategies as st

from functions.domain.attempts import Again, Enough, next_attempt

times = st.integers(0, 10**7)


@given(made=st.integers(1, 10), limit=st.integers(1, 10), last=times, since=times, ends=times)
def test_another_attempt_keeps_to_the_limit_the_rest_and_the_time_left(
    made: int, limit: int, last: int, since: int, ends: int
) -> None:
    """At most so many, at least 15 s apart, and none that could not end in time."""
    decision = next_attempt(
        made=made, limit=limit, last_ms=last, now_ms=last + since, needed_ms=60_000, ends_by_ms=ends
    )
    match decision:
        case Again(at_ms):
            assert made < limit
            assert at_ms >= last + 15_000
            assert at_ms + 60_000 <= ends
        case Enough("attempts-spent"):
            assert made >= limit
        case Enough("out-of-time"):
            assert max(last + since, last + 15_000) + 60_000 > ends
        case _:
            raise AssertionError(decision)
