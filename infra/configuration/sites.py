"""Builds a `[sites.*]`, and checks what only all of them together can get wrong."""

import re
from collections.abc import Mapping
from typing import Any, Final

from functions.domain.site import Site, SiteError
from infra.configuration import keys
from infra.configuration.faults import KeyPath
from infra.configuration.keys import Required
from infra.configuration.tables import Findings

MOST_ROWS: Final = 90
"""What one change may write into the table: DynamoDB takes 100 writes in one transaction."""

_STAND_INS: Final = {"bucket": "stand-in", "distributions": ("STANDIN1",)}
"""For what must be given and was not, so that the faults of all else are found."""
_NAMES: Final = frozenset(key.name for key in keys.SITE)


def site(at: KeyPath, table: Any, findings: Findings) -> Site | None:
    """Return the site, or None where a fault was noted."""
    values = findings.values(at, table, keys.SITE)
    defaults = {key.name: key.default for key in keys.SITE if not isinstance(key.default, Required)}
    try:
        built = Site(name=at[-1], **{**defaults, **_STAND_INS, **values})
    except SiteError as error:
        for fault in error.faults:
            findings.add(*_placed(at, fault))
        return None
    _rows(at, built, findings)
    return built if len(values) == len(keys.SITE) else None


def one_way_of_events(sites: Mapping[str, Site | None], findings: Findings) -> None:
    """Note sites that want another way of events than the first of the same bucket.

    A bucket that told of a change in both ways would tell of each twice.
    """
    firsts: dict[str, Site] = {}
    for found in sites.values():
        if found is None:
            continue
        first = firsts.setdefault(found.bucket, found)
        if found.events is not first.events:
            findings.add(
                ("sites", found.name, "events"),
                f'must be "{first.events}", as that of sites.{first.name}, which has the same '
                f'bucket, not "{found.events}"',
            )


def _placed(at: KeyPath, fault: str) -> tuple[KeyPath, str]:
    """Return the key that a site's fault begins with as its place, and the rest of the fault."""
    key, rest = re.split(r":? ", fault, maxsplit=1)
    return ((*at, key), rest) if key in _NAMES else (at, fault)


def _rows(at: KeyPath, built: Site, findings: Findings) -> None:
    """Look at the key that has the most paths: each is a row of each distribution."""
    own, extra = 1 + bool(built.index_documents), sum(len(it.paths) for it in built.extra_paths)
    paths, distributions = own + extra, len(built.distributions)
    if paths * distributions > MOST_ROWS:
        findings.add(
            (*at, "extra_paths" if extra else "distributions"),
            f"must make at most {MOST_ROWS} rows of one change, not {paths * distributions}: "
            f"{paths} for each of {distributions} distributions",
        )
