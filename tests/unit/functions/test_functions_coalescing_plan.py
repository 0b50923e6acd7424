"""What a plan says: each path is sent, covered or left, and each wildcard has its reason."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.coalescing import Coalescing
from functions.domain.invalidation_limits import Room
from functions.domain.path_prices import Prices
from functions.domain.wildcards import Wildcard, covers
from tests.unit.functions.changed_paths import (
    AMPLE,
    Counts,
    Waiting,
    buckets,
    folder,
    folders,
    some_prices,
    waiting,
)


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


def test_depth_costs_no_stack() -> None:
    """A key of 1,024 bytes can be 500 folders deep."""
    changed = waiting(*("/" + "a/" * depth + "x" for depth in range(500)))
    counts = {"/" + "a/" * depth: depth for depth in range(500)}
    plan = Coalescing(changed, Prices(), AMPLE).plan(counts)
    assert [wildcard.path for wildcard in plan.wildcards] == ["/*"]
