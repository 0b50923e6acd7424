"""Which paths to send for all that has changed: exact ones, or wildcards over folders.

A choice costs the fee of its paths and what its wildcards throw away; over a tree of folders the
cheapest is found exactly. What a wildcard throws away must be counted by listing the bucket, which
is slow: so the folders that would matter are named first, and only those need be counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Final

from functions.domain.folder_tree import NEVER, Folder, cheapest, grow
from functions.domain.invalidation_limits import Room
from functions.domain.path_prices import Prices
from functions.domain.paths import STAR_IN_KEY
from functions.domain.wildcards import Wildcard, covers, is_wildcard

Counts = Mapping[str, int | None]
"""Folder, like `/img/`, to how many unchanged live objects are below it; None for many."""

MOST_COUNTED: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Uncounted:
    """A folder whose count may decide. Listing may stop at `enough`: more of them is many."""

    folder: str
    enough: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send now: `exact` and `left` the oldest first, `left` being what has to wait.

    `usd`: the fee of what is sent. `evicted`: the unchanged objects that it throws away; None
    where it sends a wildcard that nobody counted or that throws away many.
    """

    exact: tuple[str, ...]
    wildcards: tuple[Wildcard, ...]
    left: tuple[str, ...]
    usd: float
    evicted: int | None

    @property
    def paths(self) -> tuple[str, ...]:
        """All that is sent."""
        return (*(wildcard.path for wildcard in self.wildcards), *self.exact)


@dataclass(frozen=True, slots=True)
class _Choice:
    """The places of folders to clear as a whole, and what all of it costs without a limit."""

    places: tuple[int, ...]
    exact: int
    usd: float


class Coalescing:
    """One round for one distribution.

    Ask `uncounted` and count what it names until it names nothing, then take the `plan`; or stop
    counting at any time: a folder without a count is never cleared as a whole to save money.

    `waiting` maps each path to when the oldest of its uploads was made. A path that ends in `*`
    is sent as it is, and `reasons` has why (`Path.reason`). `escalated` goes first, in its order.
    """

    def __init__(
        self,
        waiting: Mapping[str, datetime],
        prices: Prices,
        room: Room,
        escalated: Sequence[Wildcard] = (),
        reasons: Mapping[str, str] | None = None,
    ) -> None:
        self._prices = prices
        self._room = room
        by_age = sorted(sorted(waiting), key=waiting.__getitem__)
        starred = [path for path in by_age if is_wildcard(path)]
        whole = [Wildcard(path, (reasons or {}).get(path) or STAR_IN_KEY) for path in starred]
        self._forced = _placed([*escalated, *whole], room.wildcards)
        covered = _prefixes(self._forced)
        self._open = [path for path in by_age if not path.startswith(covered)]
        self._starred = frozenset(starred)
        exact = [path for path in self._open if path not in self._starred]
        self._tree = grow(exact, (wildcard.path for wildcard in self._forced))
        self._overflows = len(exact) > room.exact
        # paths that are free and that fit are not worth the listing of a single folder
        self._worth_counting = prices.path_usd > 0 or prices.cap_spent or self._overflows

    def uncounted(self, counts: Counts) -> tuple[Uncounted, ...]:
        """Return the folders to count next; none when the choice is certain without any more.

        A folder without a count is hoped to hold nothing that is unchanged. If the best choice
        under that hope is of counted ones alone, no count can make another one better. (Where
        paths are too many for the room a choice is searched for, so there it is only likely.)
        """
        if not self._worth_counting:
            return ()
        choice = self._choose(self._evictions(counts, hopeful=True))
        return tuple(
            Uncounted(folder.prefix, self._enough(folder))
            for folder in (self._tree[place] for place in sorted(choice.places))
            if folder.prefix not in counts
        )

    def plan(self, counts: Counts) -> Plan:
        """Return what to send now, with what is known."""
        choice = self._choose(self._evictions(counts, hopeful=False))
        bought = [
            self._wildcard(self._tree[place], counts[self._tree[place].prefix])
            for place in choice.places
        ]
        cleared = _prefixes(bought)
        kept = [
            Wildcard(forced.path, forced.reason, counts.get(forced.path[:-1]))
            for forced in self._forced
            if not forced.path.startswith(cleared)
        ]
        wildcards = (*kept, *sorted(bought, key=lambda wildcard: wildcard.path))
        rest = [path for path in self._open if not path.startswith(cleared)]
        fitting = [path for path in rest if path not in self._starred][: self._room.exact]
        sent = frozenset(fitting)
        thrown = [wildcard.evicted for wildcard in wildcards if wildcard.evicted is not None]
        return Plan(
            exact=tuple(fitting),
            wildcards=wildcards,
            left=tuple(path for path in rest if path not in sent),
            usd=self._prices.path_usd * (len(wildcards) + len(fitting)),
            evicted=sum(thrown) if len(thrown) == len(wildcards) else None,
        )

    def _evictions(self, counts: Counts, *, hopeful: bool) -> list[float]:
        """Return for each folder the USD of what its wildcard throws away, or NEVER."""
        found = (counts.get(folder.prefix, 0 if hopeful else None) for folder in self._tree)
        price_usd = self._prices.eviction_usd
        return [NEVER if count is None else count * price_usd for count in found]

    def _choose(self, evictions_usd: Sequence[float]) -> _Choice:
        """Return the cheapest choice, in which a path too many for the room costs its wait.

        That is not a sum over the tree, so the price of exact paths is raised between nothing and
        the wait until they fit. Each choice is a line, its cost over the price; where the lines
        of two choices meet is the only price at which a third one can lie below both.
        """
        low = self._cheapest(evictions_usd, raised_usd=0.0)
        if low.exact <= self._room.exact:
            return low
        high = self._cheapest(evictions_usd, raised_usd=self._prices.waiting_usd)
        best = min(high, low, key=self._with_waits)
        while high.exact < self._room.exact and high.exact < low.exact:
            raised_usd = (high.usd - low.usd) / (low.exact - high.exact)
            between = self._cheapest(evictions_usd, raised_usd=raised_usd)
            if not high.exact < between.exact < low.exact:
                break
            best = min(best, between, key=self._with_waits)
            if between.exact > self._room.exact:
                low = between
            else:
                high = between
        return best

    def _with_waits(self, choice: _Choice) -> float:
        return choice.usd + max(0, choice.exact - self._room.exact) * self._prices.waiting_usd

    def _cheapest(self, evictions_usd: Sequence[float], *, raised_usd: float) -> _Choice:
        weight_usd = self._prices.weight_usd
        places = cheapest(
            self._tree,
            evictions_usd,
            exact_usd=weight_usd + raised_usd,
            wildcard_usd=weight_usd,
            most=self._room.wildcards,
        )
        bought = [self._tree[place] for place in places]
        cleared = tuple(folder.prefix for folder in bought)
        forced = [wildcard for wildcard in self._forced if not wildcard.path.startswith(cleared)]
        total = self._tree[-1].changed if self._tree else 0
        exact = total - sum(folder.changed for folder in bought) - len(forced)
        paths_usd = (exact + len(forced) + len(bought)) * weight_usd
        return _Choice(places, exact, paths_usd + sum(evictions_usd[place] for place in places))

    def _enough(self, folder: Folder) -> int:
        """Return how many unchanged objects make clearing the folder dearer than all it could save.

        With forced wildcards about, clearing a folder may free a place for another one anywhere.
        """
        saved = self._tree[-1].changed if self._forced else folder.changed
        dearest_usd = self._prices.weight_usd
        if self._overflows:
            dearest_usd += self._prices.waiting_usd
        if self._prices.eviction_usd * MOST_COUNTED <= saved * dearest_usd:
            return MOST_COUNTED
        return int(saved * dearest_usd / self._prices.eviction_usd)

    def _wildcard(self, folder: Folder, evicted: int | None) -> Wildcard:
        evicted = evicted or 0  # a folder of many, or without a count, is not chosen
        whole = folder.changed + evicted
        share = f"{folder.changed:,} of {whole:,}" if evicted else f"all {whole:,}"
        reason = f"{share} below {folder.prefix} changed: one path instead of {folder.changed:,}"
        saved = folder.changed - 1
        saved_usd = saved * self._prices.path_usd
        pays = saved_usd > evicted * self._prices.eviction_usd
        if pays:
            reason += f" saves {saved_usd:.{2 if saved_usd >= 1 else 3}f} USD"
        elif not evicted:
            reason += f" saves {saved:,} of the month's free paths"
        if self._prices.cap_spent:
            reason += ", and" if pays else ", for"
            reason += " the site's cap for this month is spent"
        elif evicted and not pays:
            reason += f", for only {self._room.exact:,} more may be in progress"
        return Wildcard(f"{folder.prefix}*", reason, evicted)


def _placed(wanted: Sequence[Wildcard], most: int) -> list[Wildcard]:
    """Return the first of these for which there are places; none that another one covers.

    One that covers others comes when the first of them would have come.
    """
    outer: list[tuple[int, Wildcard]] = []
    for place, wildcard in sorted(enumerate(wanted), key=lambda one: (one[1].path[:-1], one[0])):
        if outer and covers(outer[-1][1].path, wildcard.path):
            outer[-1] = (min(outer[-1][0], place), outer[-1][1])
        else:
            outer.append((place, wildcard))
    return [wildcard for _, wildcard in sorted(outer, key=itemgetter(0))[:most]]


def _prefixes(wildcards: Sequence[Wildcard]) -> tuple[str, ...]:
    return tuple(wildcard.path[:-1] for wildcard in wildcards)
