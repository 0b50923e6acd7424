"""An invalidation without an answer is looked for a few at a time, until it is found or is not."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from functions.domain.batch import LookUp
from functions.domain.looking_up import LOOKED_AT_ONCE, MOST_LOOKED_AT, Listed, to_look_at

ASKED_AT = datetime(2026, 11, 25, 18, 0, tzinfo=UTC)
LOOK_EVERY_S = 5
OFFSETS_S = st.lists(st.floats(-200, 200), max_size=60, unique=True)


def listed(offsets_s: Sequence[float]) -> list[Listed]:
    """Return invalidations made so long after the first call, the newest first."""
    return [
        Listed(f"{offset_s}", ASKED_AT + timedelta(seconds=offset_s))
        for offset_s in sorted(offsets_s, reverse=True)
    ]


def wanted(looked: int = 0) -> LookUp:
    """Return what is looked for, after so many in vain."""
    return LookUp("r", ("/a",), ASKED_AT, looked)


def looks(made: Sequence[float], later: Sequence[float] = ()) -> Iterator[list[str]]:
    """Yield what is looked at each time; `later` comes to be, one at each look."""
    looked, more = 0, True
    for number in range(100):
        if not more:
            return
        likeliest, more = to_look_at(listed([*made, *later[:number]]), wanted(looked))
        looked += len(likeliest)
        yield [one.invalidation_id for one in likeliest]
    raise AssertionError("it is looked for, for ever")


@given(OFFSETS_S, st.integers(0, 60))
def test_none_that_may_be_it_is_passed_over(made: list[float], new: int) -> None:
    """Whatever else is made meanwhile; and no look costs more than its calls."""
    later = [300.5 + LOOK_EVERY_S * number for number in range(new)]
    parts = list(looks(made, later))
    seen = {name for part in parts for name in part}
    assert seen >= {str(offset_s) for offset_s in made if offset_s >= -60}
    assert all(len(part) <= LOOKED_AT_ONCE for part in parts)
    assert not [offset_s for offset_s in made if offset_s < -60 and str(offset_s) in seen]


def test_the_likeliest_is_looked_at_first() -> None:
    """Most answers are lost of the first call; a clock may be wrong by a second or two."""
    likeliest, more = to_look_at(listed([-50, -1.5, 0.3, 2, 9, 40]), wanted())
    assert [one.invalidation_id for one in likeliest] == ["0.3", "-1.5", "2", "9"]
    assert more
    likeliest, more = to_look_at(listed([-50, -1.5, 0.3, 2, 9, 40]), wanted(4))
    assert [one.invalidation_id for one in likeliest] == ["40", "-50"]
    assert not more


def test_what_is_made_just_after_a_look_hides_nothing() -> None:
    """It goes before what is farther away, and what it moves is looked at again, not left out."""
    first, _ = to_look_at(listed([0, -20, -30, -40, -50]), wanted())
    assert [one.invalidation_id for one in first] == ["0", "-20", "-30", "-40"]
    then, more = to_look_at(listed([0, 5, 6, -20, -30, -40, -50]), wanted(len(first)))
    assert [one.invalidation_id for one in then] == ["-30", "-40", "-50"]
    assert not more


def test_looking_has_an_end() -> None:
    """On a distribution that somebody invalidates all the time as well."""
    every = list(looks([0.1 * number for number in range(500)]))
    assert sum(map(len, every)) == MOST_LOOKED_AT
    assert len(every) == MOST_LOOKED_AT / LOOKED_AT_ONCE


def test_where_nothing_is_known_the_newest_come_first() -> None:
    """As they are listed."""
    likeliest, more = to_look_at(listed(range(6)), LookUp("r", ("/a",)))
    assert [one.invalidation_id for one in likeliest] == ["5", "4", "3", "2"]
    assert more


def test_an_old_history_is_not_read() -> None:
    """Each hundred of it is a call."""

    def history() -> Iterator[Listed]:
        yield from listed([3, -61])
        raise AssertionError("it was read on")

    likeliest, more = to_look_at(history(), wanted())
    assert [one.invalidation_id for one in likeliest] == ["3"]
    assert not more
