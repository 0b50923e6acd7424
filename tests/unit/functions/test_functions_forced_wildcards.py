"""Wildcards that are sent whatever they cost: for a key with a star, and after a long wait."""

from datetime import timedelta

from functions.domain.coalescing import Coalescing
from functions.domain.invalidation_limits import Room
from functions.domain.path_prices import Prices
from functions.domain.paths import STAR_IN_KEY
from functions.domain.wildcards import EVERYTHING, Wildcard, escalate, escalations, folder_of
from tests.unit.functions.changed_paths import AMPLE, BEGUN, waiting


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
