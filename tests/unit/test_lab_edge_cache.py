"""When the lab's edge forgets: at the effect, everything that matches, and nothing else."""

from lab.edge.cache import Cache, Response
from lab.edge.matching import Wildcards

OLD, NEW = Response(200, (), b"old"), Response(200, (), b"new")


def filled(*keys: str) -> Cache:
    """Return a cache with old responses, stored at 0 s."""
    cache = Cache(Wildcards.CHARACTERS)
    for key in keys:
        cache.land(cache.depart(key, 0), OLD, now_s=0, ttl_s=100)
    return cache


def test_an_invalidation_takes_effect_when_it_is_due() -> None:
    """Before that a hit, after that a miss: of what the paths match alone."""
    cache = filled("/a", "/b", "/c/1", "/c/2")
    cache.schedule(["/a", "/c/*", "/missing"], effect_s=5)
    assert cache.find("/a", 4.9)
    assert not cache.find("/a", 5)
    assert not cache.find("/c/1", 5)
    assert cache.find("/b", 5)
    assert (len(cache), cache.dropped) == (1, 3)


def test_what_is_stored_after_the_effect_stays() -> None:
    """One invalidation clears once."""
    cache = filled("/a")
    cache.schedule(["/a"], effect_s=1)
    cache.land(cache.depart("/a", 2), NEW, now_s=2, ttl_s=100)
    cached = cache.find("/a", 3)
    assert cached
    assert cached.response == NEW


def test_an_answer_that_was_overtaken_is_not_kept() -> None:
    """Asked before the effect, answered after it: it may be the old object."""
    cache = filled()
    flight, other = cache.depart("/a", 0), cache.depart("/b", 0)
    cache.schedule(["/a*"], effect_s=1)
    cache.land(flight, OLD, now_s=2, ttl_s=100)
    cache.land(other, OLD, now_s=2, ttl_s=100)
    assert not cache.find("/a", 2)
    assert cache.find("/b", 2)


def test_invalidations_take_effect_in_the_order_of_their_times() -> None:
    """Also when a later call has the shorter delay."""
    cache = filled("/a", "/b")
    cache.schedule(["/a"], effect_s=9)
    cache.schedule(["/b"], effect_s=1)
    assert not cache.find("/b", 1)
    assert cache.find("/a", 8)
    assert not cache.find("/a", 9)


def test_an_entry_is_good_for_its_time() -> None:
    """Errors have a shorter one: whoever stores says so."""
    cache = filled()
    cache.land(cache.depart("/a", 0), Response(404, (), b""), now_s=0, ttl_s=10)
    assert cache.find("/a", 9.9)
    assert not cache.find("/a", 10)
