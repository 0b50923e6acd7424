"""What waits to be cleared: one row for each path of each change, on each distribution.

A row never changes. A later change of the same object makes rows of its own, so that whoever clears
the earlier ones can delete them without a look at what has come since.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from functions.domain import instants
from functions.domain.paths import Path
from functions.domain.site import Site, paths_of
from functions.domain.uploads import Change


@dataclass(frozen=True, slots=True)
class Waiting:
    """A path of `distribution` that `change` made stale. `asked_by`: who, if it was by hand.

    For a change by hand `change.key` is the key, or the prefix, that was asked for.
    """

    distribution: str
    site: str
    path: Path
    change: Change
    asked_by: str = ""

    @property
    def row_id(self) -> str:
        """A name of these values, the oldest change first: the same row may be written again."""
        change = self.change
        named = (self.site, change.key, change.kind, change.sequencer or "", self.path.text)
        digest = hashlib.sha256("\0".join(named).encode()).hexdigest()[:32]
        return f"{instants.exact(change.at)}#{digest}"


def rows_of(site: Site, change: Change) -> Iterator[Waiting]:
    """Yield the rows of a change in a site's bucket; none for a key that the site leaves alone."""
    for path in paths_of(site, change.key):
        for distribution in site.distributions:
            yield Waiting(distribution, site.name, path, change)
