"""What was seen of each object, and what waits, in the table."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

from functions.adapters import rows as rows_of
from functions.adapters.table import DOCUMENT, WAITING, attributes, of_distribution, of_object
from functions.adapters.transactions import transact
from functions.domain.invalidation_json import (
    read_change,
    read_waiting,
    write_change,
    write_waiting,
)
from functions.domain.uploads import Change
from functions.domain.waiting import Waiting
from functions.upload_ports import MOST_WAITING, News

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, TransactWriteItemTypeDef

    Item = dict[str, AttributeValueTypeDef]

SEEN_FOR: Final = timedelta(days=30)
"""SQS keeps a message 14 days at most, so no event is so late."""

_TOGETHER: Final = 99
"""A transaction takes 100 rows; one is the object's."""


@dataclass(frozen=True, slots=True)
class UploadsTable:
    """Rows that wait never change, so that the same row may be written again at any time."""

    client: "DynamoDBClient"
    name: str

    def seen(self, site: str, keys: Sequence[str]) -> Mapping[str, Change]:
        """Return the last change seen of each key that ever was; raise TableError."""
        wanted = (of_object(site, key) for key in keys)
        found = rows_of.get_all(self.client, self.name, wanted)
        changes = (read_change(item["document"]["S"]) for item in found)
        return {change.key: change for change in changes}

    def note(self, news: Sequence[News]) -> Sequence[News]:
        """Write each change with its rows; return those decided on what is no longer so.

        A change that is there already was written by this very call, or means the same. Raise
        TableError.
        """
        return [one for one in news if not self._noted(one)]

    def _noted(self, news: News) -> bool:
        items = rows_of.once_each(map(_item, news.rows))
        # More than a transaction takes go first: without the change they clear a path too many.
        rows_of.put_all(self.client, self.name, items[_TOGETHER:])
        puts: Iterator[TransactWriteItemTypeDef] = (
            {"Put": {"TableName": self.name, "Item": item}} for item in items[:_TOGETHER]
        )
        return transact(self.client, [self._seen(news), *puts])

    def _seen(self, news: News) -> "TransactWriteItemTypeDef":
        document = write_change(news.change)
        if news.seen is None:
            expected = "attribute_not_exists(pk)"
            values = {":new": document}
        else:
            expected = "#document = :seen"
            values = {":new": document, ":seen": write_change(news.seen)}
        delete_after_s = int((news.change.at + SEEN_FOR).timestamp())
        return {
            "Put": {
                "TableName": self.name,
                "Item": of_object(news.site, news.change.key)
                | attributes({"document": document, "delete_after_s": delete_after_s}),
                "ConditionExpression": f"{expected} OR #document = :new",
                "ExpressionAttributeNames": DOCUMENT,
                "ExpressionAttributeValues": attributes(values),
            }
        }

    def ask(self, rows: Sequence[Waiting]) -> None:
        """Write rows that somebody asked for by hand; raise TableError."""
        rows_of.put_all(self.client, self.name, map(_item, rows))

    def waiting(self, distribution: str) -> Sequence[Waiting]:
        """Return the oldest rows of a distribution; raise TableError."""
        rows = rows_of.of(self.client, self.name, distribution, WAITING)
        return list(map(_waiting, islice(rows, MOST_WAITING)))

    def still_waiting(self, rows: Sequence[Waiting]) -> Collection[str]:
        """Return the ids of those rows that wait; raise TableError."""
        found = rows_of.get_all(self.client, self.name, map(_key, rows))
        return {_waiting(item).row_id for item in found}

    def oldest(self, distribution: str) -> Waiting | None:
        """Return the oldest row; raise TableError."""
        rows = rows_of.of(self.client, self.name, distribution, WAITING, page=1)
        return next(map(_waiting, rows), None)

    def settle(self, rows: Sequence[Waiting]) -> None:
        """Delete rows; raise TableError."""
        rows_of.delete_all(self.client, self.name, map(_key, rows))


def _key(row: Waiting) -> "Item":
    return of_distribution(row.distribution, WAITING + row.row_id)


def _item(row: Waiting) -> "Item":
    return _key(row) | attributes({"document": write_waiting(row)})


def _waiting(item: "Item") -> Waiting:
    return read_waiting(item["document"]["S"])
