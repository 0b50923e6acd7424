"""Changed paths, by name or in any small tree, and what a choice of wildcards for them costs."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from functions.domain.coalescing import Plan
from functions.domain.invalidation_limits import Room
from functions.domain.path_prices import FEE_USD, Prices
from functions.domain.wildcards import covers

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


def bought(plan: Plan, waiting: Waiting) -> list[str]:
    """Return the folders that a plan clears by its own choice."""
    return [w.path[:-1] for w in plan.wildcards if w.path not in waiting]
