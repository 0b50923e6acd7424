"""A site: a bucket with the distributions that show it, and the paths of each of its keys."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from functions.domain import globs
from functions.domain.errors import ConfigurationError
from functions.domain.path_rules import PathRule
from functions.domain.paths import Path

_ORIGIN_PATH: Final = re.compile(r"(/[^/]+)+")


class SiteError(ConfigurationError):
    """A site's settings cannot be followed; `faults` says of each what would be right."""


class EventSource(StrEnum):
    """How the bucket tells of its changes."""

    S3 = "s3"
    EVENTBRIDGE = "eventbridge"


@dataclass(frozen=True, slots=True)
class Site:
    """One `[sites.*]` of the configuration. Raises SiteError with every fault at once.

    `origin_path` is written as the bucket has it, not encoded: the origin path of all of the
    distributions, empty (or `/`) for the whole bucket. `index_documents` are names of files that
    their folder's address shows too. `ignore`: patterns (`globs`) of keys that clear nothing.
    """

    name: str
    bucket: str
    distributions: tuple[str, ...]
    origin_path: str = ""
    index_documents: tuple[str, ...] = ()
    extra_paths: tuple[PathRule, ...] = ()
    ignore: tuple[str, ...] = ()
    monthly_cap_usd: float | None = None
    events: EventSource = EventSource.S3

    def __post_init__(self) -> None:
        if faults := tuple(_faults(self)):
            raise SiteError(f"site {self.name}", faults)

    def below_origin(self, key: str) -> str | None:
        """Return what of a key follows the origin path and its slash; None outside of it."""
        folder = f"{self.origin_path}/".lstrip("/")
        return key[len(folder) :] if key.startswith(folder) else None


def paths_of(site: Site, key: str) -> tuple[Path, ...]:
    """Return the paths that clear a key's object, each once: its own first, then by the rules.

    None for a key outside the origin path and for one that the site ignores.
    """
    below = site.below_origin(key)
    if below is None or any(globs.matches(glob, below) for glob in site.ignore):
        return ()
    return tuple(dict.fromkeys(_all_paths(site, below)))


def _all_paths(site: Site, key: str) -> Iterator[Path]:
    yield Path.of_key(key)
    folder, slash, name = key.rpartition("/")
    if name in site.index_documents:
        yield Path.of_key(folder + slash)
    for rule in site.extra_paths:
        yield from rule.paths_of(key)


def _faults(site: Site) -> Iterator[str]:
    if not site.bucket:
        yield "bucket must be a bucket's name"
    if not site.distributions:
        yield "distributions must name at least one, like E1EXAMPLE"
    if site.origin_path not in {"", "/"} and not _ORIGIN_PATH.fullmatch(site.origin_path):
        yield f'origin_path must be of the form /site, or empty, not "{site.origin_path}"'
    for document in site.index_documents:
        if not document or "/" in document:
            yield f'index_documents must have names of files without a slash, not "{document}"'
    for glob in site.ignore:
        if fault := globs.fault_in(glob):
            yield f'ignore "{glob}" {fault}'
    for rule in site.extra_paths:
        yield from (f"extra_paths: {fault}" for fault in rule.faults())
    cap = site.monthly_cap_usd
    if cap is not None and not (math.isfinite(cap) and cap >= 0):
        yield f"monthly_cap_usd must be dollars, 0 or more, not {cap}"
