"""The live objects that would be hit, by listing the bucket up to a cap."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final
from urllib.parse import unquote

from functions.domain.errors import BucketError
from functions.domain.hand_request import HandRequest, has_other_addresses, paths_sent
from functions.domain.paths import Path
from functions.domain.site import Site
from functions.domain.waiting import Waiting
from functions.upload_ports import Objects

MOST_LISTED: Final = 10_000
"""Ten calls of S3, a second or two. What is more is many."""

MOST_LOOKED_UP: Final = 100
"""Keys, and prefixes, each by a call of its own."""


@dataclass(frozen=True, slots=True)
class Below:
    """`keys`: below the prefixes. `missed`: where their other addresses are not all cleared."""

    keys: tuple[str, ...] = ()
    missed: str = ""


@dataclass(slots=True)
class Hits:
    """`live`: keys of objects, `many` if there are more; `absent`: asked for, and no object's.

    `empty`: prefixes of no object's key. `not_looked_up`: keys that were not looked for, being too
    many. `fault`: why the bucket could not be listed, which keeps nobody from clearing.
    """

    live: set[str] = field(default_factory=set)
    many: bool = False
    absent: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    not_looked_up: int = 0
    fault: str = ""


def below(objects: Objects, site: Site, request: HandRequest) -> Below:
    """Return the keys, MOST_LISTED at most, that may have addresses which no prefix clears."""
    prefixes = [prefix for prefix in request.prefixes if has_other_addresses(site, prefix)]
    try:
        every = (key for prefix in prefixes for key in objects.keys(site.bucket, prefix))
        keys = tuple(islice(every, MOST_LISTED + 1))
    except BucketError:  # `hits` meets it again, and says which
        return Below(missed="not cleared: the bucket could not be listed")
    some = f"cleared of the first {MOST_LISTED:,} files only"
    return Below(keys[:MOST_LISTED], some if len(keys) > MOST_LISTED else "")


def hits(objects: Objects, site: Site, request: HandRequest, rows: tuple[Waiting, ...]) -> Hits:
    """Return what the rows' paths hit."""
    found = Hits()
    try:
        for path in paths_sent(rows):
            if path.is_wildcard and not found.many:
                _list(objects, site, path, found)
        _look_up(objects, site, request, found)
    except BucketError as error:
        found.fault = str(error)
    return found


def _list(objects: Objects, site: Site, path: Path, found: Hits) -> None:
    room = MOST_LISTED - len(found.live)
    keys = list(islice(objects.keys(site.bucket, _prefix(site, path)), room + 1))
    found.live.update(keys[:room])
    found.many = len(keys) > room


def _look_up(objects: Objects, site: Site, request: HandRequest, found: Hits) -> None:
    unseen = [key for key in dict.fromkeys(request.keys) if key not in found.live]
    for key in unseen[:MOST_LOOKED_UP]:
        # of all keys that begin with it, a key itself is the first
        if _first(objects.keys(site.bucket, key)) == key:
            found.live.add(key)
        else:
            found.absent.append(key)
    found.not_looked_up = len(unseen[MOST_LOOKED_UP:])
    for prefix in request.prefixes[:MOST_LOOKED_UP]:
        begin = prefix.partition("*")[0]
        if not any(key.startswith(begin) for key in found.live) and (
            not found.many or _first(objects.keys(site.bucket, begin)) is None
        ):
            found.empty.append(prefix)


def _prefix(site: Site, wildcard: Path) -> str:
    """Return what the keys begin with that a wildcard clears."""
    folder = f"{site.origin_path}/".lstrip("/")
    return folder + unquote(wildcard.text[1:-1], errors="ignore")


def _first(keys: Iterator[str]) -> str | None:
    return next(keys, None)
