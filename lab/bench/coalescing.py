"""`python -m lab.bench.coalescing`: how long it takes to decide which paths are sent.

The times are the processor's, the least of some repetitions, so that what else the machine does
counts little; and as a multiple of sorting the same paths, which says more on another machine.
`decide` is all of a round but the listing of folders: the tree, and the plan with every folder
counted. `ask` is one question which folders to count, the longest of the first twenty.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from functions.domain.coalescing import Coalescing, Plan
from functions.domain.invalidation_limits import Room
from functions.domain.path_prices import Prices

_REPETITIONS: Final = 5
_QUESTIONS: Final = 20
_PATHS: Final = 10_000
_BEGUN: Final = datetime(2026, 11, 25, 18, tzinfo=UTC)

Waiting = Mapping[str, datetime]
Counts = Mapping[str, int | None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Upload:
    """So many paths, each made from its number."""

    title: str
    path_of: Callable[[int], str]
    paths: int = _PATHS

    def waiting(self) -> Waiting:
        """Return the paths a millisecond apart, in an order that is not that of their names."""
        numbers = sorted(range(self.paths), key=lambda number: number * 7_919 % 10_007)
        return {
            self.path_of(number): _BEGUN + timedelta(milliseconds=place)
            for place, number in enumerate(numbers)
        }


_UPLOADS: Final = (
    Upload("200 folders of 50", lambda n: f"/site/album-{n % 200:03}/photo-{n:05}.jpg"),
    Upload("10,000 folders of 1", lambda n: f"/site/recipe-{n:05}/index.html"),
    Upload("one folder of 10,000", lambda n: f"/img/photo-{n:05}.jpg"),
    Upload("a chain 100 deep", lambda n: "/" + "deep/" * (1 + n % 100) + f"{n}.jpg"),
    Upload("the same, 1 in each", lambda n: "/" + "deep/" * (1 + n) + f"{n}.jpg", 100),
    # no upload that anybody makes: each of thousands of folders may pay
    Upload("5,000 folders of 2", lambda n: f"/site/recipe-{n // 2:05}/{n}.jpg"),
    Upload("a tree of twos, 13 deep", lambda n: "/" + "/".join(f"{n:014b}") + ".jpg"),
)
_PRICES: Final = {"with a fee": Prices(), "free": Prices(path_usd=0.0)}


def _folders(path: str) -> Iterator[str]:
    place = path.find("/") + 1
    while place:
        yield path[:place]
        place = path.find("/", place) + 1


def _counts(waiting: Waiting) -> Counts:
    """Return for each folder a tenth and some more unchanged; many where all 10,000 are below."""
    below = Counter(folder for path in waiting for folder in _folders(path))
    return {
        folder: changed // 10 + len(folder) % 7 if changed < _PATHS else None
        for folder, changed in below.items()
    }


def _decide(waiting: Waiting, prices: Prices, counts: Counts) -> Plan:
    return Coalescing(waiting, prices, Room()).plan(counts)


def _least_ms(work: Callable[[], T]) -> tuple[float, T]:
    """Return the least of the repetitions' processor times, and what was made."""
    times = []
    for _ in range(_REPETITIONS):
        began = time.process_time()
        made = work()
        times.append((time.process_time() - began) * 1_000)
    return min(times), made


def _ask(coalescing: Coalescing, counts: Counts) -> tuple[float, int]:
    """Return the longest question's ms, and how many folders were counted for all of them."""
    known: dict[str, int | None] = {}
    longest_ms = 0.0
    for _ in range(_QUESTIONS):
        began = time.process_time()
        wanted = coalescing.uncounted(known)
        longest_ms = max(longest_ms, (time.process_time() - began) * 1_000)
        for one in wanted:
            count = counts[one.folder]
            known[one.folder] = None if count is None or count > one.enough else count
        if not wanted:
            break
    return longest_ms, len(known)


def main() -> None:
    """Print a line for each upload at each price."""
    head = f"{'':<24}{'':<12}{'decide':>9}{'x sorted':>10}{'ask':>10}{'counted':>9}"
    print(f"{head}{'exact':>8}{'wild':>6}{'left':>7}{'evicted':>9}{'USD':>8}")
    for upload in _UPLOADS:
        waiting = upload.waiting()
        counts = _counts(waiting)
        sorting_ms, _ = _least_ms(partial(sorted, tuple(waiting)))
        for title, prices in _PRICES.items():
            decide_ms, plan = _least_ms(partial(_decide, waiting, prices, counts))
            ask_ms, counted = _ask(Coalescing(waiting, prices, Room()), counts)
            print(
                f"{upload.title:<24}{title:<12}{decide_ms:>6.1f} ms{decide_ms / sorting_ms:>10.1f}"
                f"{ask_ms:>7.1f} ms{counted:>9,}{len(plan.exact):>8,}{len(plan.wildcards):>6}"
                f"{len(plan.left):>7,}{plan.evicted:>9,}{plan.usd:>8.2f}"
            )


if __name__ == "__main__":
    main()
