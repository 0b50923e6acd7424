"""The invalidations that there were, and what waits, as the table tells it."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from functions.domain.invalidation_record import Aside, Contents, Record
from functions.domain.uploads import Kind
from functions.domain.waiting import Waiting
from functions.upload_ports import Batches, Uploads

MOST_READ: Final = 2_000
"""Records, each of whose contents is two reads more: a site may have few among many."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An invalidation: what is known of it, and what is in it."""

    record: Record
    contents: Contents

    @property
    def state(self) -> str:
        """Where it is, in a word or two."""
        if self.record.completed_at:
            return "completed"
        if self.record.given_up_at:
            return "not seen to complete"
        return "in progress" if self.record.invalidation_id else self.record.state.value

    @property
    def uploaded_at(self) -> datetime | None:
        """When the oldest of its causes came to be; None for one without causes."""
        return min((row.change.at for row in self.contents.causes), default=None)

    @property
    def askers(self) -> tuple[str, ...]:
        """Who or what asked: the bucket's events by their kinds, and people by name."""
        return askers(self.contents.causes)


@dataclass(frozen=True, slots=True)
class History:
    """The newest invalidations, the rows that wait for one, and the paths that were set aside.

    `looked_through`: among how many a site's were looked for, where there are older ones too.
    """

    entries: tuple[Entry, ...]
    waiting: tuple[Waiting, ...]
    aside: tuple[Aside, ...]
    looked_through: int | None


def history(
    uploads: Uploads, batches: Batches, distributions: Sequence[str], site: str | None, limit: int
) -> History:
    """Return `limit` invalidations at most, of one site or of all. Raise TableError."""
    most = max(limit, MOST_READ)
    every = heapq.merge(*(batches.history(name) for name in distributions), key=_name, reverse=True)
    entries = tuple(islice(_of_site(batches, islice(every, most), site), limit))
    older = len(entries) < limit and next(every, None) is not None
    return History(
        entries,
        tuple(
            row
            for name in distributions
            for row in _waiting(uploads, batches, name)
            if site in (None, row.site)
        ),
        tuple(aside for name in distributions for aside in batches.aside(name)),
        most if older else None,
    )


def askers(rows: Sequence[Waiting]) -> tuple[str, ...]:
    """Return who or what asked for rows, each once."""
    return tuple(dict.fromkeys(_asker(row) for row in rows))


def _asker(row: Waiting) -> str:
    if row.change.kind is Kind.ASKED:
        return row.asked_by or "somebody, by hand"
    return f"object {row.change.kind.value}"


def _name(record: Record) -> str:
    """Return what the history of a distribution is sorted by: it begins with a time."""
    return record.batch_id


def _of_site(batches: Batches, records: Iterator[Record], site: str | None) -> Iterator[Entry]:
    for record in records:
        entry = Entry(record, batches.contents(record))
        if site is None or any(row.site == site for row in entry.contents.causes):
            yield entry


def _waiting(uploads: Uploads, batches: Batches, distribution: str) -> Iterator[Waiting]:
    """Yield the rows that are in no batch that is under way: those are told of with it."""
    rows = uploads.waiting(distribution)
    under_way = {
        row.row_id
        for record in batches.open(distribution)
        for row in batches.contents(record).causes
    }
    yield from (row for row in rows if row.row_id not in under_way)
