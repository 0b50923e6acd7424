"""What somebody asks for by hand: from a site's keys to the rows that wait, or to what is wrong."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from functions.domain import globs
from functions.domain.errors import ConfigurationError
from functions.domain.path_encoding import escape
from functions.domain.paths import STAR_IN_KEY, Path
from functions.domain.site import Site, paths_of
from functions.domain.uploads import Change, Kind
from functions.domain.waiting import Waiting, rows_of
from functions.domain.wildcards import EVERYTHING

MAX_KEY_BYTES: Final = 1_024
"""Of a key in UTF-8 (Creating object key names, Amazon S3 User Guide)."""

ALL_ASKED: Final = "everything was asked for by hand"


class HandRequestError(ConfigurationError):
    """What was asked for by hand cannot be; `faults` says of each key why. Nothing is done."""


@dataclass(frozen=True, slots=True)
class HandRequest:
    """`keys` and `prefixes` of keys, as the bucket has them; `everything`: all there is."""

    keys: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    everything: bool = False


def rows_by_hand(
    site: Site, request: HandRequest, at: datetime, asked_by: str
) -> tuple[Waiting, ...]:
    """Return the rows of all that is asked for, in its order.

    Raise HandRequestError with every fault at once where there is one: then there are no rows, for
    who mistyped one key may have meant another one too.
    """
    if faults := tuple(_faults(site, request)):
        raise HandRequestError(f"site {site.name}", faults)
    return tuple(dict.fromkeys(_rows(site, request, at, asked_by)))


def further_rows(
    site: Site, rows: Iterable[Waiting], keys: Iterable[str], at: datetime, asked_by: str
) -> tuple[Waiting, ...]:
    """Return the rows of further addresses of keys that none of `rows` clears.

    `/docs/in*` clears `/docs/index.html` and not `/docs/`, which shows the same file.
    """
    cleared = paths_sent(rows)
    found = {
        row: None
        for key in keys
        for row in _asked(site, key, at, asked_by)
        if not any(path.matches(row.path) for path in cleared)
    }
    return tuple(found)


def has_other_addresses(site: Site, prefix: str) -> bool:
    """Return whether a key below a prefix may have a path that the prefix's wildcard leaves."""
    if _path_of_prefix(site, prefix).text == EVERYTHING:
        return False
    name = prefix.rpartition("/")[2]
    begun = name and any(document.startswith(name) for document in site.index_documents)
    return bool(begun or site.extra_paths)


def asked_at(rows: Iterable[Waiting], at: datetime) -> tuple[Waiting, ...]:
    """Return the rows as asked for at another time: when somebody has said yes to them."""
    return tuple(replace(row, change=replace(row.change, at=at)) for row in rows)


def paths_sent(rows: Iterable[Waiting]) -> tuple[Path, ...]:
    """Return the rows' paths, each once, less those that a wildcard among them clears as well."""
    paths = dict.fromkeys(row.path for row in rows)
    wildcards = [path for path in paths if path.is_wildcard]
    return tuple(
        path
        for path in paths
        if not any(wildcard != path and wildcard.matches(path) for wildcard in wildcards)
    )


def _rows(site: Site, request: HandRequest, at: datetime, asked_by: str) -> Iterator[Waiting]:
    for key in request.keys:
        yield from _asked(site, key, at, asked_by)
    for prefix in request.prefixes:
        yield from _wildcard(site, prefix, _path_of_prefix(site, prefix), at, asked_by)
    if request.everything:
        yield from _wildcard(site, "", Path(EVERYTHING, ALL_ASKED), at, asked_by)


def _asked(site: Site, key: str, at: datetime, asked_by: str) -> Iterator[Waiting]:
    for row in rows_of(site, _change(site, key, at)):
        yield replace(row, asked_by=asked_by)


def _wildcard(
    site: Site, prefix: str, path: Path, at: datetime, asked_by: str
) -> Iterator[Waiting]:
    change = _change(site, prefix, at)
    for distribution in site.distributions:
        yield Waiting(distribution, site.name, path, change, asked_by)


def _change(site: Site, key: str, at: datetime) -> Change:
    return Change(site.bucket, key, Kind.ASKED, None, at)


def _path_of_prefix(site: Site, prefix: str) -> Path:
    """Return the wildcard over a prefix that is below the origin path."""
    named, star, _ = (site.below_origin(prefix) or "").partition("*")
    why = f"all that begins with {prefix} was asked for by hand"
    return Path.of_text(f"/{escape(named)}*", f"{why}: {STAR_IN_KEY}" if star else why)


def _faults(site: Site, request: HandRequest) -> Iterator[str]:
    for key in request.keys:
        if fault := _spelling_fault(key) or _outside(site, key) or _ignored(site, key):
            yield f"{key!r} {fault}"
    for prefix in request.prefixes:
        if fault := _no_prefix(prefix) or _spelling_fault(prefix) or _outside(site, prefix):
            yield f"prefix {prefix!r} {fault}"


def _no_prefix(prefix: str) -> str | None:
    return None if prefix else "is empty: --all clears everything"


def _spelling_fault(key: str) -> str | None:
    if not key:
        return "names no object"
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        return "is not UTF-8, as every key is"
    if length > MAX_KEY_BYTES:
        return f"has {length:,} bytes, more than the {MAX_KEY_BYTES:,} that a key can have"
    return None


def _outside(site: Site, key: str) -> str | None:
    if site.below_origin(key) is not None:
        return None
    folder, named = f"{site.origin_path}/".lstrip("/"), key.lstrip("/")
    if f"{named}/" == folder:
        meant = folder
    else:
        meant = named if named.startswith(folder) else folder + named
    return (
        f"is outside of the origin path {site.origin_path}: {site.name} shows only what begins "
        f"with {folder} in the bucket {site.bucket}. Did you mean {meant}?"
    )


def _ignored(site: Site, key: str) -> str | None:
    below = site.below_origin(key)
    if below is None or paths_of(site, key):
        return None
    glob = next(glob for glob in site.ignore if globs.matches(glob, below))
    return f'is ignored by {site.name}: ignore has "{glob}"; --prefix clears it all the same'
