"""What Holdstill's own history says of a distribution's invalidations, beside the edge's counts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from functions.adapters.batches_table import BatchesTable
from lab.region import Region
from lab.stage import TABLE


@dataclass(frozen=True, slots=True)
class Invalidated:
    """An invalidation that was made: when, of which paths, because of which keys."""

    created_at: datetime
    paths: tuple[str, ...]
    keys: frozenset[str]
    reasons: Mapping[str, str]
    """Of its wildcards, each in a sentence."""


def invalidations(region: Region, distribution: str, since_s: float = 0) -> list[Invalidated]:
    """Return those made since an instant of the system's clock, the oldest first."""
    return list(reversed(list(_newest_first(region, distribution, since_s))))


def _newest_first(region: Region, distribution: str, since_s: float) -> Iterator[Invalidated]:
    table = BatchesTable(region.client("dynamodb"), TABLE)
    for record in table.history(distribution):
        if record.created_at is None:
            continue
        if record.created_at.timestamp() < since_s - 0.001:  # CreateTime has whole milliseconds
            continue
        contents = table.contents(record)
        keys = frozenset(cause.change.key for cause in contents.causes)
        yield Invalidated(record.created_at, contents.paths, keys, contents.reasons)
