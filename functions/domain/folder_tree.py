"""The folders of a set of changed paths as a tree, and the cheapest wildcards over it.

Only a folder in which changed paths part is kept: of a chain of folders that hold the same
changed paths the deepest throws the least away, so no other can be the better choice.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, TypeAlias

from functions.domain.wildcards import folder_of

NEVER: Final = float("inf")

_Nested: TypeAlias = "int | tuple[_Nested, _Nested] | None"
"""The places of chosen folders: a pair of choices takes no copying while many are compared."""


@dataclass(slots=True)
class Folder:
    """A folder below which at least two changed paths are, but for a tree of a single path.

    `exact` and `forced`: the paths and the wildcards below it that are below no child;
    `changed`: all below it. `parent`: its place in the tree, in which children come first.
    """

    prefix: str
    exact: int
    forced: int
    changed: int
    parent: int = -1


def grow(exact: Iterable[str], forced: Iterable[str] = ()) -> list[Folder]:
    """Return the folders of distinct paths and of wildcards, each after all that are below it."""
    exact_in, forced_in = Counter(map(folder_of, exact)), Counter(map(folder_of, forced))
    tree: list[Folder] = []
    above: list[_Open] = []
    for prefix in sorted({*exact_in, *forced_in}):
        common = _common_folder(above, prefix)
        while above and len(above[-1].prefix) > len(common):
            closed = above.pop()
            if not above or len(above[-1].prefix) < len(common):
                above.append(_Open(common, 0, 0))
            closed.close(above[-1], tree)
        above.append(_Open(prefix, exact_in[prefix], forced_in[prefix]))
    while above:
        closed = above.pop()
        closed.close(above[-1] if above else None, tree)
    return tree


class _Open:
    """A folder above the one that is looked at. `below`: the places of its children."""

    __slots__ = ("below", "exact", "forced", "prefix")

    def __init__(self, prefix: str, exact: int, forced: int) -> None:
        self.prefix, self.exact, self.forced = prefix, exact, forced
        self.below: list[int] = []

    def close(self, parent: "_Open | None", tree: list[Folder]) -> None:
        """Enter into the tree, or give the parent the only path, which needs no wildcard."""
        if parent is not None and self.exact + self.forced == 1 and not self.below:
            parent.exact += self.exact
            parent.forced += self.forced
            return
        changed = self.exact + self.forced
        for child in self.below:
            tree[child].parent = len(tree)
            changed += tree[child].changed
        if parent is not None:
            parent.below.append(len(tree))
        tree.append(Folder(self.prefix, self.exact, self.forced, changed))


def _common_folder(above: Sequence[_Open], prefix: str) -> str:
    """Return the deepest folder that holds the last one above and this one too; "" for none.

    By halving, for names may be long and deep, after a look at the one name where most differ.
    """
    if not above:
        return ""
    last = above[-1].prefix
    if prefix.startswith(last):
        return last
    low = 0
    if len(above) > 1 and prefix.startswith(above[-2].prefix):
        low = len(above[-2].prefix)
        if not prefix.startswith(last[: last.index("/", low) + 1]):
            return above[-2].prefix
    high = min(len(last), len(prefix))
    while low < high:
        middle = (low + high + 1) // 2
        if last[:middle] == prefix[:middle]:
            low = middle
        else:
            high = middle - 1
    return last[: last.rindex("/", 0, low) + 1]


def cheapest(
    tree: Sequence[Folder],
    evictions_usd: Sequence[float],
    *,
    exact_usd: float,
    wildcard_usd: float,
    most: int,
) -> tuple[int, ...]:
    """Return the places of the folders whose wildcards make the cheapest cover of all paths.

    `evictions_usd`: for each folder what its wildcard throws away, NEVER where it may not be
    chosen. `most`: how many wildcards there may be, with the forced ones that no chosen folder
    covers; so many forced ones at most. It is the optimum over all choices, by a dynamic programme
    over how many wildcards are used below each folder.

    Where no wildcard pays a folder is one number, and most are.
    """
    plain_usd = [folder.exact * exact_usd for folder in tree]
    below: dict[int, _Below] = {}
    for place, folder in enumerate(tree):
        usd, wildcard = plain_usd[place], wildcard_usd + evictions_usd[place]
        children = below.pop(place, None)
        if folder.forced:
            children = children or _Below()
            children.add(_Row([NEVER] * folder.forced + [folder.forced * wildcard_usd]), most)
        if children is None and (wildcard >= usd or not most):
            if folder.parent >= 0:
                plain_usd[folder.parent] += usd
            continue
        row = children.together(usd, most) if children else _Row([usd])
        if wildcard < row.costs[0]:
            row.offer(wildcard, place)
        if folder.parent < 0:
            return tuple(_flat(row.least()))
        below.setdefault(folder.parent, _Below()).add(row, most)
    return ()


class _Row:
    """`costs[k]`: the least USD with exactly k wildcards; `chosen[k]`: the folders it takes.

    It ends before costs that fewer wildcards have too.
    """

    __slots__ = ("chosen", "costs")

    def __init__(self, costs: list[float], chosen: list[_Nested] | None = None) -> None:
        self.costs = costs
        self.chosen: list[_Nested] = chosen or [None] * len(costs)

    def least(self) -> _Nested:
        """Return the choice of the least cost, of equal ones that with the fewest wildcards."""
        return self.chosen[min(range(len(self.costs)), key=self.costs.__getitem__)]

    def offer(self, usd: float, place: int) -> None:
        """Let a folder's own wildcard compete with the best that was found below it."""
        if len(self.costs) == 1:
            self.costs.append(usd)
            self.chosen.append(place)
        elif usd < self.costs[1]:
            self.costs[1], self.chosen[1] = usd, place
        self.trim()

    def trim(self) -> None:
        """Drop from the end what costs no less than fewer wildcards do."""
        costs = self.costs
        while len(costs) > 1 and costs[-1] >= min(costs[:-1]):
            costs.pop()
            self.chosen.pop()


class _Below:
    """What the children of a folder cost together.

    Most have one choice, to use one wildcard or none. Of thousands of those the best few are
    taken by what they save, which is as exact as joining their rows and much faster.
    """

    __slots__ = ("row", "savings", "usd")

    def __init__(self) -> None:
        self.usd = 0.0
        self.savings: list[tuple[float, _Nested]] = []
        self.row: _Row | None = None

    def add(self, row: _Row, most: int) -> None:
        """Add a child's row."""
        match row.costs:
            case [usd]:
                self.usd += usd
            case [usd, less] if usd < NEVER:
                self.usd += usd
                self.savings.append((usd - less, row.chosen[1]))
            case _:
                self.row = _both(self.row, row, most) if self.row else row

    def together(self, usd: float, most: int) -> _Row:
        """Return the row of all children, and of `usd` for what is below none of them."""
        row = _Row([self.usd + usd])
        for saving, chosen in sorted(self.savings, key=itemgetter(0), reverse=True)[:most]:
            row.costs.append(row.costs[-1] - saving)
            row.chosen.append((row.chosen[-1], chosen))
        return _both(row, self.row, most) if self.row else row


def _both(one: _Row, other: _Row, most: int) -> _Row:
    length = min(len(one.costs) + len(other.costs) - 1, most + 1)
    costs, chosen = [NEVER] * length, [None] * length  # type: list[float], list[_Nested]
    its_costs, its_chosen = other.costs, other.chosen
    for mine, my_cost in enumerate(one.costs):
        for total in range(mine, min(length, mine + len(its_costs))):
            cost = my_cost + its_costs[total - mine]
            if cost < costs[total]:
                costs[total] = cost
                chosen[total] = (one.chosen[mine], its_chosen[total - mine])
    both = _Row(costs, chosen)
    both.trim()
    return both


def _flat(nested: _Nested) -> Iterator[int]:
    rest = [nested]
    while rest:
        match rest.pop():
            case int(place):
                yield place
            case (one, other):
                rest += (one, other)
