"""Which folders are counted before wildcards are chosen: those that may matter, and no further."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.coalescing import MOST_COUNTED, Coalescing
from functions.domain.invalidation_limits import Room
from functions.domain.path_prices import Prices
from tests.unit.functions.changed_paths import (
    AMPLE,
    Counts,
    Waiting,
    bought,
    buckets,
    cost,
    folder,
    some_prices,
    waiting,
)


@settings(max_examples=150, deadline=None)
@given(
    bucket=buckets(),
    prices=some_prices,
    room=st.builds(Room, exact=st.just(9), wildcards=st.integers(0, 3)),
)
def test_counting_what_is_asked_for_is_as_good_as_counting_all(
    bucket: tuple[Waiting, Counts], prices: Prices, room: Room
) -> None:
    """Each folder is asked for once, listed no further than is said; the plan costs the same."""
    changed, counts = bucket
    coalescing = Coalescing(changed, prices, room)
    known: Counts = {}
    while asked := coalescing.uncounted(known):
        for wanted in asked:
            assert wanted.folder not in known
            count = counts[wanted.folder]
            known[wanted.folder] = None if count is None or count > wanted.enough else count
    lazy, full = coalescing.plan(known), coalescing.plan(counts)
    one, other = (cost(bought(p, changed), changed, counts, prices)[0] for p in (lazy, full))
    if prices.path_usd or prices.cap_spent:
        assert one == pytest.approx(other, abs=1e-12)
    else:
        assert not known


@settings(max_examples=50, deadline=None)
@given(bucket=buckets(), prices=some_prices)
def test_many_is_never_thrown_away_to_save_money(
    bucket: tuple[Waiting, Counts], prices: Prices
) -> None:
    """A folder of many unchanged objects, or of nobody knows how many, is not cleared for cost."""
    changed, counts = bucket
    plan = Coalescing(changed, prices, Room(exact=1)).plan(counts)
    assert all(counts[prefix] is not None for prefix in bought(plan, changed))
    assert not bought(Coalescing(changed, prices, Room(exact=1)).plan({}), changed)


def test_only_folders_in_which_paths_part_are_asked_for() -> None:
    """A chain of folders is one question, and a single path is none."""
    deep = [f"/a/b/c/{name}" for name in ("x", "y")]
    asked = Coalescing(waiting(*deep, "/z"), Prices(), AMPLE).uncounted({})
    assert [wanted.folder for wanted in asked] == ["/"]
    asked = Coalescing(waiting(*deep, "/z"), Prices(), AMPLE).uncounted({"/": None})
    assert [wanted.folder for wanted in asked] == ["/a/b/c/"]
    assert Coalescing(waiting("/a/b/c"), Prices(), AMPLE).uncounted({}) == ()


def test_listing_may_stop_where_a_wildcard_cannot_pay() -> None:
    """Two paths are worth 100 evictions; listing is cheap because it may end there."""
    (asked,) = Coalescing(waiting("/a/x", "/a/y"), Prices(), AMPLE).uncounted({})
    assert (asked.folder, asked.enough) == ("/a/", 100)
    (asked,) = Coalescing(waiting("/a/x", "/a/y"), Prices(cap_spent=True), AMPLE).uncounted({})
    assert asked.enough == MOST_COUNTED


def test_free_paths_that_fit_need_no_listing() -> None:
    """While the month is free an upload goes out at once: nothing could be saved."""
    free = Prices(path_usd=0.0)
    assert not Coalescing(waiting(*folder("/img/", 500)), free, AMPLE).uncounted({})
    assert Coalescing(waiting(*folder("/img/", 500)), free, Room(exact=499)).uncounted({})
