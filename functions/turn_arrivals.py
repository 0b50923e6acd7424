"""Whether more of what is being uploaded is on its way: then it is cheaper to send it together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from functions.domain.waiting import Waiting

LOOK_AGAIN_S: Final = 0.5
LONGEST_S: Final = 3.0
"""For how long at most the first of a folder waits for the rest."""


@dataclass
class Arrivals:
    """What one turn has seen coming; the next turn need not know.

    It goes by when rows are seen and not by when files were uploaded: S3 tells of an upload up to
    seconds later, so that at the time of a look all of them seem old.
    """

    _seen: frozenset[str] = frozenset()
    _first_at: datetime | None = None

    def go_on(self, rows: Sequence[Waiting], now: datetime) -> bool:
        """Return whether to look again after LOOK_AGAIN_S before any of the rows is sent.

        While each look finds more, but not for long. A single file waits for nothing.
        """
        seen = frozenset(row.row_id for row in rows)
        if self._first_at is None or self._seen.isdisjoint(seen):
            self._first_at = now
        more, self._seen = not seen <= self._seen, seen
        if not more or len({row.change.key for row in rows}) == 1:
            return False
        return (now - self._first_at).total_seconds() < LONGEST_S
