"""No other choice of wildcards is cheaper, within the room that there is."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from functions.domain.coalescing import Coalescing
from functions.domain.invalidation_limits import Room
from functions.domain.path_prices import Prices
from functions.domain.wildcards import covers
from tests.unit.functions.changed_paths import (
    Counts,
    Waiting,
    bought,
    buckets,
    cost,
    folder,
    folders_above,
    some_prices,
    waiting,
)


def choices(waiting: Waiting, counts: Counts, most: int) -> Iterator[tuple[str, ...]]:
    """Return every set of folders with two paths or more, none in another, none of many."""
    countable = [
        prefix
        for prefix, count in counts.items()
        if count is not None and sum(path.startswith(prefix) for path in waiting) > 1
    ]
    for size in range(most + 1):
        for chosen in combinations(countable, size):
            if any(one.startswith(two) or two.startswith(one) for one, two in pairs(chosen)):
                continue
            rest = {p for p in waiting if p.endswith("*") and not p.startswith(chosen)}
            outer = [s for s in rest if not any(covers(t, s) for t in rest - {s})]
            if len(outer) + size <= most:
                yield chosen


def pairs(chosen: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Return every two of them."""
    return combinations(chosen, 2)


@settings(max_examples=150, deadline=None)
@given(bucket=buckets(), prices=some_prices, most=st.integers(0, 4))
def test_no_other_choice_of_wildcards_is_cheaper(
    bucket: tuple[Waiting, Counts], prices: Prices, most: int
) -> None:
    """On any small tree the plan costs what the best of all choices costs, within the limit."""
    changed, counts = bucket
    possible = list(choices(changed, counts, most))
    assume(() in possible)  # more forced wildcards than places are a law of their own
    best = min(cost(chosen, changed, counts, prices)[0] for chosen in possible)
    plan = Coalescing(changed, prices, Room(wildcards=most)).plan(counts)
    assert cost(bought(plan, changed), changed, counts, prices)[0] == pytest.approx(best, abs=1e-12)
    assert not plan.left


@settings(max_examples=100, deadline=None)
@given(
    bucket=buckets(starred=0),
    prices=some_prices,
    room=st.builds(Room, exact=st.integers(0, 6), wildcards=st.integers(0, 3)),
    raised=st.floats(0, 1),
)
def test_no_raised_price_finds_a_better_choice_for_little_room(
    bucket: tuple[Waiting, Counts], prices: Prices, room: Room, raised: float
) -> None:
    """Of all that raising the price of exact paths up to that of waiting can find, the best."""
    changed, counts = bucket

    def with_waits(chosen: Sequence[str]) -> float:
        usd, exact = cost(chosen, changed, counts, prices)
        return usd + max(0, exact - room.exact) * prices.waiting_usd

    plan = Coalescing(changed, prices, room).plan(counts)
    found = min(
        choices(changed, counts, room.wildcards),
        key=lambda c: cost(c, changed, counts, prices, raised * prices.waiting_usd)[0],
    )
    assert with_waits(bought(plan, changed)) <= with_waits(found) + 1e-12


def test_one_path_too_many_does_not_empty_a_large_site() -> None:
    """The price is raised to what half a minute's wait is worth, and no further."""
    changed = waiting(*(f"/{number}/index.html" for number in range(100)))
    plan = Coalescing(changed, Prices(path_usd=0.0), Room(exact=99)).plan({"/": 9_999})
    assert plan.wildcards == ()
    assert plan.left == ("/99/index.html",)
    plan = Coalescing(changed, Prices(path_usd=0.0), Room(exact=9)).plan({"/": 9_999})
    assert [wildcard.path for wildcard in plan.wildcards] == ["/*"]


def test_the_least_is_thrown_away_that_makes_the_rest_fit() -> None:
    """Of folders that do not pay, only as many are cleared as the room demands."""
    changed = waiting(*folder("/a/", 10), *folder("/b/", 10), *folder("/c/", 10))
    counts = {"/": None, "/a/": 600, "/b/": 700, "/c/": 800}
    assert Coalescing(changed, Prices(), Room(exact=30)).plan(counts).wildcards == ()
    plan = Coalescing(changed, Prices(), Room(exact=20)).plan(counts)
    assert [wildcard.path for wildcard in plan.wildcards] == ["/a/*"]
    assert len(plan.exact) == 20


def test_places_go_to_the_folders_that_save_the_most() -> None:
    """All places are used, at every depth, and none that is not there."""
    changed = waiting(*(p for n in range(2, 7) for p in folder(f"/{n % 2}/{n}/", n)))
    counts: Counts = {prefix: 0 for path in changed for prefix in folders_above(path)}
    counts |= {"/": None, "/0/": None, "/1/": None}
    for most, chosen in [
        (0, ()),
        (1, (6,)),
        (3, (4, 5, 6)),
        (5, (2, 3, 4, 5, 6)),
        (9, range(2, 7)),
    ]:
        plan = Coalescing(changed, Prices(), Room(wildcards=most)).plan(counts)
        assert {w.path for w in plan.wildcards} == {f"/{n % 2}/{n}/*" for n in chosen}
