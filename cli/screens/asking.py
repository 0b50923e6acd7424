"""What an invalidation by hand would do, and did: the same words for both."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from cli.hits import MOST_LISTED, Hits
from cli.screens.console import output
from cli.spelling import counted, listed, shown
from functions.domain.hand_request import paths_sent
from functions.domain.path_prices import FREE_PATHS, Fee
from functions.domain.paths import Path
from functions.domain.site import Site
from functions.domain.waiting import Waiting

MOST_SHOWN: Final = 20
"""Paths, and keys that no object has: a screenful."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The rows that `caller` asks for, what they hit and what they cost; `missed` as in `Below`."""

    site: Site
    rows: tuple[Waiting, ...]
    hits: Hits
    fee: Fee
    caller: str
    missed: str


def show(asked: Asking) -> None:
    """Show all of it."""
    console = output()
    for line in _lines(asked):
        console.print(line)


def conclude(asked: Asking, *, would: bool) -> None:
    """Say what was done, or would be."""
    paths = counted(len(paths_sent(asked.rows)), "path")
    where = listed(asked.site.distributions)
    begin = "Dry run, nothing is done: would ask" if would else "Asked"
    output().print(f"{begin} for {paths} on {where}, as {asked.caller}.")


def _lines(asked: Asking) -> Iterator[str]:
    site, paths = asked.site, paths_sent(asked.rows)
    yield f"{site.name}: bucket {site.bucket}, {_distributions(site)}"
    width = min(60, max(len(path.text) for path in paths[:MOST_SHOWN]))
    for path in paths[:MOST_SHOWN]:
        yield f"  {path.text:{width}}  {_why(site, path, asked.rows)}".rstrip()
    if len(paths) > MOST_SHOWN:
        yield f"  and {counted(len(paths) - MOST_SHOWN, 'path')} more"
    yield f"objects  {_objects(asked.hits)}"
    for key in asked.hits.absent[:MOST_SHOWN]:
        yield f"         {shown(key)} is no object now{_perhaps(key)}"
    if len(asked.hits.absent) > MOST_SHOWN:
        yield f"         and {len(asked.hits.absent) - MOST_SHOWN:,} more are none"
    for prefix in asked.hits.empty[:MOST_SHOWN]:
        yield f"         no object begins with {shown(prefix)} now{_perhaps(prefix)}"
    if asked.missed:
        yield (
            "         other addresses of the files below a prefix (index documents, extra_paths) "
            f"are {asked.missed}"
        )
    yield f"paths    {_paths(site, len(paths), asked.fee)}"
    yield f"cost     {_cost(asked.fee)}"


def _distributions(site: Site) -> str:
    names = "distribution" if len(site.distributions) == 1 else "distributions"
    return f"{names} {listed(site.distributions)}"


def _why(site: Site, path: Path, rows: tuple[Waiting, ...]) -> str:
    """Return why a path is not simply the name of its key, if it is not."""
    row = next(row for row in rows if row.path == path)
    if path.is_wildcard:
        return shown(row.path.reason)
    key = row.change.key
    below = site.below_origin(key)
    return "" if below is None or Path.of_key(below) == path else f"shows {shown(key)} too"


def _objects(hits: Hits) -> str:
    if hits.fault:
        return f"not counted: {hits.fault}"
    if hits.many:
        return f"many: more than {MOST_LISTED:,}"
    more = f", and {counted(hits.not_looked_up, 'key')} not looked up" if hits.not_looked_up else ""
    return f"{len(hits.live):,}{more}"


def _perhaps(key: str) -> str:
    """Return what may have been meant instead of a key or a prefix that no object has."""
    if "://" in key:
        return ": name it as the bucket has it, not by its address"
    if key.startswith("/"):
        return f": did you mean {shown(key.lstrip('/'))}, without a slash before it?"
    if "*" in key:
        begin = key.partition("*")[0]
        option = f"--prefix {shown(begin)}" if begin else "--all"
        return f": for all that begins with it say {option}"
    if (decoded := unquote(key)) != key:
        return f": did you mean {shown(decoded)}, not encoded?"
    return "; what is cached of it is cleared"


def _paths(site: Site, paths: int, fee: Fee) -> str:
    places = len(site.distributions)
    each = f", {paths:,} on each of {places} distributions" if places > 1 else ""
    return (
        f"{fee.paths:,} at most{each}; of the month's {FREE_PATHS:,} free ones {fee.free_left:,} "
        "are left by Holdstill's own count"
    )


def _cost(fee: Fee) -> str:
    return f"{fee.usd:.3f} USD at most" if fee.usd else "nothing, they are free"
