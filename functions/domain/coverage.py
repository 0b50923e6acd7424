"""Whether an invalidation that was made already has cleared what changed.

By path and by time alone: which of our runs made it, whether it was made by hand, whether it is a
wildcard over a folder or over everything makes no difference.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from functions.domain.paths import Path
from functions.domain.uploads import Change

MARGIN_S: Final = 5.0
"""CreateTime and the event's time are of two services' clocks, the latter perhaps without its
fraction of a second; and an edge that was asked shortly before may still store the old object."""


@dataclass(frozen=True, slots=True)
class Invalidation:
    """An invalidation of one distribution.

    `created_at`: the CreateTime of CloudFront's answer, which for a repeated call is the first
    one's; None while there is no answer, or where it was refused.
    """

    exact: frozenset[Path]
    wildcards: tuple[Path, ...]
    created_at: datetime | None

    @classmethod
    def of(cls, paths: Iterable[Path], created_at: datetime | None) -> Self:
        """Return the invalidation of these paths."""
        each = frozenset(paths)
        wildcards = tuple(path for path in each if path.is_wildcard)
        return cls(each.difference(wildcards), wildcards, created_at)

    def matches(self, path: Path) -> bool:
        """Return whether one of its paths clears all that this one clears."""
        return path in self.exact or any(wildcard.matches(path) for wildcard in self.wildcards)


def covers(
    invalidation: Invalidation, path: Path, change: Change, margin_s: float = MARGIN_S
) -> bool:
    """Return whether the invalidation has cleared one of a change's paths after the change."""
    created_at = invalidation.created_at
    if created_at is None or created_at - change.at < timedelta(seconds=margin_s):
        return False
    return invalidation.matches(path)


def uncovered(
    invalidations: Iterable[Invalidation],
    paths: Iterable[Path],
    change: Change,
    margin_s: float = MARGIN_S,
) -> tuple[Path, ...]:
    """Return those of a change's paths that are still to be cleared on a distribution.

    `invalidations` are that distribution's, `paths` all of the change's. Each path may have been
    cleared by another of them.
    """
    made = tuple(invalidations)
    return tuple(
        path
        for path in paths
        if not any(covers(invalidation, path, change, margin_s) for invalidation in made)
    )
