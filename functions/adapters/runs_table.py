"""The runs' records in the table."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from functions.adapters.table import (
    OPEN,
    OPEN_RUNS,
    attributes,
    permitted,
    read,
    row,
    run_kind,
)
from functions.domain import instants
from functions.domain.requests import BackupRequest
from functions.domain.runs import EndedRun, OpenRun, OverdueRun, RunState
from holdstill_protocol.conductor_model import Snapshot

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef


@dataclass(frozen=True, slots=True)
class RunsTable:
    """Every change is conditional, and may be repeated by the SDK after a lost answer.

    So a condition also holds for what this very invocation has written: a run's conductor is known
    by its token, a sweep by its instant.
    """

    client: "DynamoDBClient"
    name: str

    def open(self, run: OpenRun) -> bool:
        """Record a run that begins; False where its schedule's run exists. Raise TableError."""
        opened = {"open_pk": OPEN, "open_sk": instants.text(run.deadline_at)}
        return permitted(
            lambda: self.client.put_item(
                TableName=self.name,
                Item=_key(run.request) | attributes({**run.document(), **opened}),
                ConditionExpression="attribute_not_exists(pk) OR #token = :token",
                ExpressionAttributeNames={"#token": "token"},
                ExpressionAttributeValues=attributes({":token": run.token}),
            )
        )

    def end(self, run: EndedRun) -> bool:
        """Record how a run ended, which closes it; False where it was abandoned. TableError."""
        return permitted(
            lambda: self.client.put_item(
                TableName=self.name,
                Item=_key(run.opened.request) | attributes(run.document()),
                ConditionExpression="#token = :token AND #state <> :abandoned",
                ExpressionAttributeNames={"#token": "token", "#state": "state"},
                ExpressionAttributeValues=attributes(
                    {":token": run.opened.token, ":abandoned": RunState.ABANDONED}
                ),
            )
        )

    def overdue(self, now: datetime) -> Sequence[OverdueRun]:
        """Return the open runs whose deadline has passed; raise TableError."""
        return read(lambda: list(self._overdue(now)))

    def _overdue(self, now: datetime) -> Iterator[OverdueRun]:
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            IndexName=OPEN_RUNS,
            KeyConditionExpression="open_pk = :open AND open_sk < :now",
            ExpressionAttributeValues=attributes({":open": OPEN, ":now": instants.text(now)}),
        )
        for page in pages:
            for item in page["Items"]:
                yield OverdueRun(
                    target=_text(item, "target"),
                    scheduled_at=_text(item, "scheduled_at"),
                    run=_text(item, "run"),
                    deadline_at=_text(item, "open_sk"),
                )

    def abandon(self, run: OverdueRun, now: datetime, snapshots: Sequence[Snapshot]) -> bool:
        """End a dead run; False where it ended by itself meanwhile. Raise TableError."""
        return permitted(
            lambda: self.client.update_item(
                TableName=self.name,
                Key=row(run.target, run_kind(run.scheduled_at)),
                UpdateExpression="SET #state = :abandoned, ended_at = :now, snapshots = :snapshots"
                " REMOVE open_pk, open_sk",
                # The index is read with a delay: what it lists may have ended since.
                ConditionExpression="open_sk = :deadline"
                " OR (#state = :abandoned AND ended_at = :now)",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues=attributes(
                    {
                        ":abandoned": RunState.ABANDONED,
                        ":now": instants.text(now),
                        ":snapshots": [asdict(snapshot) for snapshot in snapshots],
                        ":deadline": run.deadline_at,
                    }
                ),
            )
        )


def _key(request: BackupRequest) -> dict[str, "AttributeValueTypeDef"]:
    return row(request.target, run_kind(instants.text(request.scheduled_at)))


def _text(item: "dict[str, AttributeValueTypeDef]", name: str) -> str:
    return item[name]["S"]
