"""Which paths are sent: the cheapest ones, never too many, and none is forgotten."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from functions.domain.coalescing import MOST_COUNTED, Coalescing, Plan
from functions.domain.invalidation_limits import Room
from functions.domain.path_prices import FEE_USD, Prices, path_price, prices
from functions.domain.paths import STAR_IN_KEY
from functions.domain.wildcards import (
    EVERYTHING,
    Wildcard,
    covers,
    escalate,
    escalations,
    folder_of,
)

BEGUN = datetime(2026, 11, 25, 18, tzinfo=UTC)
AMPLE = Room()
Waiting = dict[str, datetime]
Counts = dict[str, int | None]


def waiting(*paths: str) -> Waiting:
    """Return the paths as uploaded one a second."""
    return {path: BEGUN + timedelta(seconds=place) for place, path in enumerate(paths)}


def folder(prefix: str, changed: int) -> list[str]:
    """Return so many paths of a folder."""
    return [f"{prefix}{number:04}.jpg" for number in range(changed)]


# some part in a folder of their own, some at a letter, some below one that itself has changed
folders = st.sampled_from(
    ["/", "/a/", "/a/a/", "/a/b/c/", "/a/b/ca/", "/a/b/ca/d/", "/a/bb/", "/b//", "/b/a b/"]
)
exact_paths = st.builds(str.__add__, folders, st.sampled_from(["", "a", "ab", "c"]))
starred_paths = st.builds("{}{}*".format, folders, st.sampled_from(["", "a", "b", "c"]))
MANY = 7


@st.composite
def buckets(draw: st.DrawFn, *, starred: int = 3) -> tuple[Waiting, Counts]:
    """Return changed paths in some order, and the count of each of their folders."""
    stars = draw(st.lists(starred_paths, max_size=starred))
    plain = draw(st.lists(exact_paths, min_size=1, max_size=9))
    changed = draw(st.permutations(sorted({*plain, *stars})))
    own = draw(st.dictionaries(folders, st.integers(0, 4), max_size=4))
    counts: Counts = {}
    for path in changed:
        for prefix in folders_above(path):
            below = sum(count for name, count in own.items() if name.startswith(prefix))
            counts[prefix] = below if below < MANY else None
    return waiting(*changed), counts


def folders_above(path: str) -> Iterator[str]:
    """Return every folder of a path, branching or not."""
    for place, letter in enumerate(path):
        if letter == "/":
            yield path[: place + 1]


some_prices = st.builds(
    Prices,
    path_usd=st.sampled_from([0.0, FEE_USD]),
    eviction_usd=st.sampled_from([0.0001, 0.002, 0.003, 0.011]),
    waiting_usd=st.sampled_from([0.004, 0.1]),
    cap_spent=st.booleans(),
)


def cost(
    chosen: Sequence[str], waiting: Waiting, counts: Counts, prices: Prices, raised_usd: float = 0
) -> tuple[float, int]:
    """Return what a choice of folders costs by the definition, and its exact paths."""
    left = [path for path in waiting if not any(path.startswith(prefix) for prefix in chosen)]
    starred = {path for path in left if path.endswith("*")}
    exact = [path for path in left if not any(covers(star, path) for star in starred)]
    outer = [s for s in starred if not any(covers(t, s) for t in starred - {s})]
    paths = len(exact) + len(outer) + len(chosen)
    evicted = sum(counts[prefix] or 0 for prefix in chosen)
    return (
        paths * prices.weight_usd + evicted * prices.eviction_usd + len(exact) * raised_usd,
        len(exact),
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


def bought(plan: Plan, waiting: Waiting) -> list[str]:
    """Return the folders that a plan clears by its own choice."""
    return [w.path[:-1] for w in plan.wildcards if w.path not in waiting]


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


@settings(max_examples=150, deadline=None)
@given(
    bucket=buckets(),
    prices=some_prices,
    room=st.builds(Room, exact=st.integers(0, 8), wildcards=st.integers(0, 3)),
    stuck=st.lists(folders.map("{}*".format), max_size=3, unique=True),
)
def test_every_path_is_sent_or_covered_or_left(
    bucket: tuple[Waiting, Counts], prices: Prices, room: Room, stuck: list[str]
) -> None:
    """Nothing is lost, nothing sent twice, no limit is passed, and the oldest are served first."""
    changed, counts = bucket
    escalated = [Wildcard(path, "it waited") for path in stuck]
    plan = Coalescing(changed, prices, room, escalated).plan(counts)
    wild = [wildcard.path for wildcard in plan.wildcards]
    assert len(plan.exact) <= room.exact
    assert len(wild) <= room.wildcards
    assert len(set(plan.paths)) == len(plan.paths) == len(plan.exact) + len(wild)
    for path in changed:
        covered = any(covers(wildcard, path) for wildcard in wild)
        assert [covered, path in plan.exact, path in plan.left].count(True) == 1, path
    assert not any(covers(one, other) for one in wild for other in wild if one != other)
    exact_left = [path for path in plan.left if not path.endswith("*")]
    assert list(plan.exact) + exact_left == sorted(
        [*plan.exact, *exact_left], key=changed.__getitem__
    )
    assert not exact_left or len(plan.exact) == room.exact
    assert plan.usd == pytest.approx(prices.path_usd * len(plan.paths))


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


def test_a_changed_folder_is_one_path_and_says_why() -> None:
    """The reason counts what changed, what did not, and the money."""
    changed = waiting(*folder("/img/", 500), "/about.html")
    plan = Coalescing(changed, Prices(), AMPLE).plan({"/img/": 20, "/": None})
    assert plan.exact == ("/about.html",)
    (wildcard,) = plan.wildcards
    assert wildcard.path == "/img/*"
    assert wildcard.reason == (
        "500 of 520 below /img/ changed: one path instead of 500 saves 2.50 USD"
    )
    assert (plan.evicted, plan.left) == (20, ())
    assert plan.usd == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("given_prices", "room", "unchanged", "reason"),
    [
        (Prices(), AMPLE, 0, "all 4 below /img/ changed: one path instead of 4 saves 0.015 USD"),
        (
            Prices(path_usd=0.0),
            AMPLE,
            0,
            "all 4 below /img/ changed: one path instead of 4 saves 3 of the month's free paths",
        ),
        (
            Prices(path_usd=0.0),
            Room(exact=3),
            9,
            (
                "4 of 13 below /img/ changed: one path instead of 4,"
                " for only 3 more may be in progress"
            ),
        ),
        (
            Prices(cap_spent=True),
            AMPLE,
            9_000,
            (
                "4 of 9,004 below /img/ changed: one path instead of 4, for the site's cap for this"
                " month is spent"
            ),
        ),
        (
            Prices(cap_spent=True),
            AMPLE,
            1,
            (
                "4 of 5 below /img/ changed: one path instead of 4 saves 0.015 USD, and the"
                " site's cap for this month is spent"
            ),
        ),
    ],
)
def test_the_reason_is_the_true_one(
    given_prices: Prices, room: Room, unchanged: int, reason: str
) -> None:
    """Money, room and the cap are told apart."""
    plan = Coalescing(waiting(*folder("/img/", 4)), given_prices, room).plan({"/img/": unchanged})
    assert [wildcard.reason for wildcard in plan.wildcards] == [reason]


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


def test_a_key_with_a_star_takes_its_place_first() -> None:
    """No exact path can name it; what is below it is sent along; what finds no place waits."""
    changed = waiting("/a/x.png", "/a/x*", "/b*", "/c*")
    asked = {"/b*": "all that begins with b was asked for by hand"}
    plan = Coalescing(changed, Prices(), Room(wildcards=2), reasons=asked).plan({})
    assert [wildcard.path for wildcard in plan.wildcards] == ["/a/x*", "/b*"]
    assert [wildcard.reason for wildcard in plan.wildcards] == [STAR_IN_KEY, asked["/b*"]]
    assert (plan.exact, plan.left, plan.evicted) == ((), ("/c*",), None)


def test_a_forced_wildcard_that_covers_others_leaves_their_places_free() -> None:
    """It comes when the oldest of them would have come."""
    changed = waiting("/b/a*", "/b/b*", "/c*", "/d*", "/b*")
    plan = Coalescing(changed, Prices(), Room(wildcards=2)).plan({})
    assert [wildcard.path for wildcard in plan.wildcards] == ["/b*", "/c*"]
    assert plan.left == ("/d*",)


def test_a_folder_that_pays_takes_a_forced_wildcard_along() -> None:
    """One wildcard in place of a forced one and of the paths beside it."""
    changed = waiting("/a/x*", "/a/1", "/a/2")
    plan = Coalescing(changed, Prices(), Room(wildcards=1)).plan({"/a/": 0})
    assert [wildcard.path for wildcard in plan.wildcards] == ["/a/*"]
    assert (plan.exact, plan.left) == ((), ())


def test_depth_costs_no_stack() -> None:
    """A key of 1,024 bytes can be 500 folders deep."""
    changed = waiting(*("/" + "a/" * depth + "x" for depth in range(500)))
    counts = {"/" + "a/" * depth: depth for depth in range(500)}
    plan = Coalescing(changed, Prices(), AMPLE).plan(counts)
    assert [wildcard.path for wildcard in plan.wildcards] == ["/*"]


def test_a_long_wait_clears_the_folder_and_then_everything() -> None:
    """Over 10 min its folder, over 20 min the whole distribution, each with its reason."""
    assert escalate("/a/b/x.png", 600) is None
    assert escalate("/a/b/x.png", 660) == Wildcard(
        "/a/b/*", "/a/b/x.png has waited 11 min, over 10 min: its folder is cleared"
    )
    assert escalate("/a/b/x.png", 1_260) == Wildcard(
        "/*", "/a/b/x.png has waited 21 min, over 20 min: everything is cleared"
    )
    assert [folder_of(path) for path in ("/", "/a", "/a/", "/a/b*", "/a//b")] == [
        "/",
        "/",
        "/a/",
        "/a/",
        "/a//",
    ]


def test_escalations_are_each_named_once_and_go_first() -> None:
    """The longest wait names it; what it covers is neither sent nor left."""
    changed = waiting("/a/1", "/a/2", "/b/1", "/c/1")
    changed["/c/1"] += timedelta(minutes=5)
    found = escalations(changed, BEGUN + timedelta(minutes=11))
    assert [wildcard.path for wildcard in found] == ["/a/*", "/b/*"]
    plan = Coalescing(changed, Prices(), AMPLE, found).plan({"/a/": 3, "/": None})
    assert [(wildcard.path, wildcard.evicted) for wildcard in plan.wildcards] == [
        ("/a/*", 3),
        ("/b/*", None),
    ]
    assert (plan.exact, plan.left, plan.evicted) == (("/c/1",), (), None)
    found = escalations(changed, BEGUN + timedelta(minutes=21))
    plan = Coalescing(changed, Prices(), Room(wildcards=1), found).plan({})
    assert [wildcard.path for wildcard in plan.wildcards] == [EVERYTHING]
    assert (plan.exact, plan.left) == ((), ())


@given(used=st.integers(0, 3_000), elapsed=st.floats(0, 1))
def test_paths_are_free_while_the_month_will_be(used: int, elapsed: float) -> None:
    """Nothing while the projection stays within the free paths, else the whole fee."""
    price = path_price(used, elapsed)
    assert price in (0.0, FEE_USD)
    if used > 1_000:
        assert price == FEE_USD
    if elapsed > 1 / 30:
        assert (price == 0.0) == (used / elapsed <= 1_000)


def test_the_first_minute_of_a_month_is_not_projected() -> None:
    """One path just after midnight does not make a month of millions."""
    assert path_price(1, 0.0) == 0.0
    assert path_price(33, 0.0) == 0.0
    assert path_price(34, 0.0) == FEE_USD


def test_with_its_cap_spent_a_site_takes_any_wildcard_that_can_be_counted() -> None:
    """However much it throws away, but for many; without a cap nothing is ever spent."""
    capped = prices(used_this_month=5_000, month_elapsed=0.5, spent_usd=10.0, cap_usd=10.0)
    uncapped = prices(used_this_month=5_000, month_elapsed=0.5, spent_usd=1e6, cap_usd=None)
    changed = waiting("/a/1", "/a/2", "/b/1", "/b/2")
    counts = {"/": None, "/a/": 100_000, "/b/": None}
    plan = Coalescing(changed, capped, AMPLE).plan(counts)
    assert [wildcard.path for wildcard in plan.wildcards] == ["/a/*"]
    assert plan.usd == pytest.approx(3 * FEE_USD)
    assert not Coalescing(changed, uncapped, AMPLE).plan(counts).wildcards
