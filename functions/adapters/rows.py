"""Many rows at once: queries page by page, and writes and reads in as many calls as they take."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from functions.adapters.table import attributes, of_distribution, read
from functions.domain.errors import TableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, WriteRequestTypeDef

    Item = dict[str, AttributeValueTypeDef]

_One = TypeVar("_One")

_WRITES, _READS = 25, 100
"""DynamoDB's most of a call."""

_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Of what a call left undone, which is what exceeds the table's throughput."""

_LAST: Final = "\U0010ffff"
"""Sorts after whatever a row's name goes on with."""


def of(
    client: "DynamoDBClient",
    table: str,
    distribution: str,
    beginning: str,
    *,
    since: str = "",
    newest_first: bool = False,
    page: int | None = None,
) -> "Iterator[Item]":
    """Yield the rows of a distribution whose names begin so, in their order, as they are asked for.

    `since`: with what the first one's name goes on, or what sorts before it. `page`: how many rows
    a call reads, where not all are wanted. Raise TableError.
    """
    row = of_distribution(distribution, "")
    limits = {"PageSize": page} if page else {}
    pages = iter(
        client.get_paginator("query").paginate(
            TableName=table,
            ConsistentRead=True,
            ScanIndexForward=not newest_first,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":pk": row["pk"],
                **attributes({":first": beginning + since, ":last": beginning + _LAST}),
            },
            PaginationConfig=limits,  # type: ignore[arg-type]  # a plain dict of the same form
        )
    )
    while (answer := read(lambda: next(pages, None))) is not None:
        yield from answer["Items"]


def get(client: "DynamoDBClient", table: str, row: "Item") -> "Item | None":
    """Return one row; raise TableError."""
    answer = read(lambda: client.get_item(TableName=table, Key=row, ConsistentRead=True))
    return answer.get("Item")


def get_all(client: "DynamoDBClient", table: str, rows: "Iterable[Item]") -> "list[Item]":
    """Return those rows that there are, in any order; raise TableError."""
    found: list[Item] = []

    def some(keys: "Sequence[Item]") -> "Sequence[Item]":
        answer = client.batch_get_item(RequestItems={table: {"Keys": keys, "ConsistentRead": True}})
        found.extend(answer["Responses"].get(table, ()))
        left = answer.get("UnprocessedKeys", {}).get(table)
        return list(left["Keys"]) if left else []

    _in_calls(once_each(rows), _READS, some)
    return found


def put_all(client: "DynamoDBClient", table: str, items: "Iterable[Item]") -> None:
    """Write rows whole, whatever is there; raise TableError."""
    _write(client, table, [{"PutRequest": {"Item": item}} for item in once_each(items)])


def delete_all(client: "DynamoDBClient", table: str, rows: "Iterable[Item]") -> None:
    """Delete rows, whether they are there or not; raise TableError."""
    _write(client, table, [{"DeleteRequest": {"Key": row}} for row in once_each(rows)])


def once_each(rows: "Iterable[Item]") -> "list[Item]":
    """Return rows with each key once, the last of it: a call that names one twice is refused."""
    return list({(row["pk"]["S"], row["sk"]["S"]): row for row in rows}.values())


def _write(client: "DynamoDBClient", table: str, requests: "Sequence[WriteRequestTypeDef]") -> None:
    def some(part: "Sequence[WriteRequestTypeDef]") -> "Sequence[WriteRequestTypeDef]":
        answer = client.batch_write_item(RequestItems={table: part})
        left: Mapping[str, Sequence[WriteRequestTypeDef]] = answer.get("UnprocessedItems", {})  # type: ignore[assignment]  # as they were given
        return left.get(table, ())

    _in_calls(requests, _WRITES, some)


def _in_calls(
    all_: Sequence[_One], most: int, call: Callable[[Sequence[_One]], Sequence[_One]]
) -> None:
    """Make calls of at most so many; each returns what it left undone. Raise TableError."""
    for start in range(0, len(all_), most):
        left = all_[start : start + most]
        for pause_s in (*_PAUSES_S, None):
            part = left
            left = read(lambda part=part: call(part))  # type: ignore[misc]  # bound in the loop
            if not left:
                break
            if pause_s is None:
                raise TableError(f"DynamoDB left {len(left)} rows undone, again and again")
            time.sleep(pause_s)
