"""The batches' records in the table.

A record's row moves when the record is no longer open, so that what is open is read without what
has ever been; and it is named once more by CloudFront's CreateTime, which is not in the order of
the batches, for whoever looks for what has been cleared since an instant.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING

from functions.adapters import rows
from functions.adapters.batch_contents import BatchContents
from functions.adapters.batch_rows import BatchRows, aside_key, key_of, pointer_of, record_of
from functions.adapters.table import ANSWERED, ASIDE, BATCH_DONE, BATCH_OPEN, LEASE, of_distribution
from functions.adapters.transactions import leased, transact
from functions.domain import instants
from functions.domain.errors import TableError
from functions.domain.invalidation_json import read_aside
from functions.domain.invalidation_record import Aside, Contents, Record
from functions.upload_ports import MOST_ANSWERED

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, TransactWriteItemTypeDef


@dataclass(frozen=True, slots=True)
class BatchesTable:
    """The records and, behind them, the contents."""

    client: "DynamoDBClient"
    name: str

    def open(self, distribution: str) -> Sequence[Record]:
        """Return the records that are open, the oldest first; raise TableError."""
        return list(map(record_of, rows.of(self.client, self.name, distribution, BATCH_OPEN)))

    def contents(self, record: Record) -> Contents:
        """Return a batch's contents; raise TableError."""
        for item in self._named(record.distribution, [record.batch_id]):
            return BatchContents(self.client, self.name).get(record, pointer_of(item))
        raise TableError(f"{record.batch_id}: the table has no such batch")

    def store(self, record: Record, contents: Contents, owner: str) -> bool:
        """Write a new batch whole; False for who lost the lease. Raise TableError.

        False as well where another batch has its name.
        """
        writes = self._stored(record, contents)
        return transact(self.client, [leased(self.name, record.distribution, owner), *writes])

    def change(
        self,
        old: Record,
        new: Record,
        *,
        owner: str | None = None,
        stored: Sequence[tuple[Record, Contents]] = (),
        aside: Sequence[Aside] = (),
        used: Mapping[str, int] | None = None,
    ) -> bool:
        """Write `new` for `old`, and all the rest; False if it is not `old` now.

        The paths that were used are added, and an addition is not to be repeated: so it is by
        reading that a repeated call learns that it was here before. Raise TableError.
        """
        now = rows.get(self.client, self.name, key_of(old))
        if now is None or record_of(now) != old:
            return self._is_written(new, owner)
        of = BatchRows(self.name)
        writes = of.replaced(now, new)
        if owner is not None:
            writes.append(leased(self.name, new.distribution, owner))
        for one in stored:
            writes += self._stored(*one)
        writes += map(of.set_aside, aside)
        if used:
            writes.append(of.used(new, used))
        return transact(self.client, writes) or self._is_written(new, owner)

    def answered_since(self, distribution: str, since: datetime) -> Sequence[Record]:
        """Return the newest records that CloudFront made since an instant; raise TableError."""
        index = rows.of(
            self.client,
            self.name,
            distribution,
            ANSWERED,
            since=instants.exact(since),
            newest_first=True,
            page=MOST_ANSWERED,
        )
        names = [item["batch_id"]["S"] for item in islice(index, MOST_ANSWERED)]
        found = {
            record.batch_id: record for record in map(record_of, self._named(distribution, names))
        }
        if missing := [name for name in names if name not in found]:  # it moved as it was read
            again = map(record_of, self._named(distribution, missing))
            found |= {record.batch_id: record for record in again}
        return sorted(found.values(), key=attrgetter("batch_id"))

    def history(self, distribution: str) -> Iterator[Record]:
        """Yield every record, the newest first; raise TableError."""
        both = (
            map(
                record_of,
                rows.of(
                    self.client, self.name, distribution, beginning, newest_first=True, page=50
                ),
            )
            for beginning in (BATCH_OPEN, BATCH_DONE)
        )
        last = None
        for record in heapq.merge(*both, key=attrgetter("batch_id"), reverse=True):
            if record.batch_id != last:  # it moved as it was read
                yield record
            last = record.batch_id

    def aside(self, distribution: str) -> Sequence[Aside]:
        """Return the paths that were set aside; raise TableError."""
        found = rows.of(self.client, self.name, distribution, ASIDE)
        return [read_aside(item["document"]["S"]) for item in found]

    def forgive(self, distribution: str, paths: Sequence[str]) -> None:
        """Forget of these paths those that were set aside; raise TableError."""
        taken = frozenset(paths)
        bad = [one for one in self.aside(distribution) if one.path in taken]
        rows.delete_all(self.client, self.name, map(aside_key, bad))

    def _named(
        self, distribution: str, names: Iterable[str]
    ) -> "list[dict[str, AttributeValueTypeDef]]":
        """Return the rows of batches, open or not."""
        both = [
            of_distribution(distribution, beginning + name)
            for name in names
            for beginning in (BATCH_OPEN, BATCH_DONE)
        ]
        return rows.get_all(self.client, self.name, both)

    def _is_written(self, new: Record, owner: str | None) -> bool:
        """Return whether the table has `new`, and `owner` the lease."""
        item = rows.get(self.client, self.name, key_of(new))
        if item is None or record_of(item) != new:
            return False
        if owner is None:
            return True
        lease = rows.get(self.client, self.name, of_distribution(new.distribution, LEASE))
        return lease is not None and lease["owner"]["S"] == owner

    def _stored(self, record: Record, contents: Contents) -> "list[TransactWriteItemTypeDef]":
        """Write a batch's contents, and return the writes of its record."""
        pointer = BatchContents(self.client, self.name).put(record, contents)
        return BatchRows(self.name).stored(record, pointer)
