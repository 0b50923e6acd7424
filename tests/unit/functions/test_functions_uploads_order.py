"""Which of two changes of an object counts."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.uploads import Change, Kind, supersedes
from tests.twins.clock import EPOCH


def change(sequencer: str | None = None, after_s: float = 0, kind: Kind = Kind.CREATED) -> Change:
    """Return a change of the one object that these tests know."""
    return Change("example-static", "a.png", kind, sequencer, EPOCH + timedelta(seconds=after_s))


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        ("0055AED6DCD90281E6", "0055AED6DCD90281E5", True),
        ("0055AED6DCD90281E5", "0055AED6DCD90281E6", False),
        ("0055AED6DCD90281E5", "0055AED6DCD90281E5", False),
        ("0055aed6dcd90281e5", "0055AED6DCD90281E5", False),
        ("0055AED6DC", "0055AED6DB90281E5", True),
        ("0055AED6DCD90281E5", "0055AED6DD", False),
        ("0055AED6DC00", "0055AED6DC", False),
        ("0055AED6DC", "0055AED6DC00", False),
        ("0055AED6DC01", "0055AED6DC", True),
        ("55aed6ddd90281e5", "55aed6dcd90281e5", True),
    ],
)
def test_the_sequencer_decides_whatever_the_times_say(
    new: str, old: str, *, expected: bool
) -> None:
    """Filled up on the right, as AWS says: what is late or repeated adds nothing."""
    assert supersedes(change(new, after_s=-60), change(old)) is expected
    assert supersedes(change(new, after_s=60), change(old)) is expected


_HEX = st.text("0123456789abcdefABCDEF", min_size=1, max_size=20)
_SEQUENCERS = st.none() | _HEX | _HEX.map(lambda text: f"00{text}")


@given(_SEQUENCERS, _SEQUENCERS, st.integers(-60, 60))
def test_of_two_changes_one_counts_at_least(
    one: str | None, other: str | None, after_s: int
) -> None:
    """A change that nothing can order is kept; only a repetition with a sequencer adds nothing."""
    first, second = change(one), change(other, after_s)
    same = (
        one is not None
        and other is not None
        and one.lower().rstrip("0") == (other.lower().rstrip("0"))
    )
    assert supersedes(first, second) or supersedes(second, first) or same


@pytest.mark.parametrize(
    ("new", "old"), [(None, None), ("55aed6", None), (None, "55aed6"), ("0055AED6", "61000000")]
)
def test_without_an_order_the_times_decide_and_a_tie_is_a_change(
    new: str | None, old: str | None
) -> None:
    """Also where a bucket's events came by EventBridge and now come from S3, or the reverse."""
    assert supersedes(change(new, after_s=0.001), change(old))
    assert supersedes(change(new), change(old, kind=Kind.REMOVED))
    assert not supersedes(change(new), change(old, after_s=0.001))
