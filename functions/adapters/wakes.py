"""The wakes: delayed messages, and in the table when the next one comes.

A message is never looked for: it may be late, or come twice, and the minute's sweep is there for
one that was lost. What the row spares is hundreds of messages for a folder that is uploaded.
"""

import contextlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from functions.adapters import rows
from functions.adapters.table import WAKE, attributes, of_distribution, permitted
from functions.adapters.unanswered import UNANSWERED
from functions.domain import instants
from functions.domain.errors import QueueError, TableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

LONGEST_DELAY_S: Final = 900
"""SQS delays a message no longer. Whoever is woken too early finds nothing to do yet."""

_TRIES: Final = 20
"""After so many changes by others the message is sent all the same: one too many does no harm."""


@dataclass(frozen=True, slots=True)
class SqsWakes:
    """The row is written first: then of many at once one sends, and the others see it."""

    client: "DynamoDBClient"
    name: str
    queue: "SQSClient"
    url: str

    def wake(self, distribution: str, delay_s: int, now: datetime) -> None:
        """Let `invalidate` look in so many seconds, unless it will by then.

        Raise TableError, and QueueError where the message was not sent.
        """
        delay_s = min(delay_s, LONGEST_DELAY_S)
        due_at = now + timedelta(seconds=delay_s)
        for _ in range(_TRIES):
            item = rows.get(self.client, self.name, of_distribution(distribution, WAKE))
            known = item["due"]["S"] if item else None
            if known is not None and now < instants.read(known) <= due_at:
                return
            if self._announce(distribution, known, instants.exact(due_at)):
                break
        try:
            self._send(distribution, delay_s)
        except QueueError:
            with contextlib.suppress(TableError):
                self._withdraw(distribution, instants.exact(due_at))
            raise

    def _announce(self, distribution: str, known: str | None, due: str) -> bool:
        """Write when the next wake comes, for what was read; False where it is no longer so."""
        # ours again is a repeated write; if it is another's of the same microsecond, two are sent
        was = "attribute_not_exists(pk)" if known is None else "due = :known"
        return permitted(
            lambda: self.client.put_item(
                TableName=self.name,
                Item=of_distribution(distribution, WAKE) | attributes({"due": due}),
                ConditionExpression=f"{was} OR due = :due",
                ExpressionAttributeValues=attributes(
                    {":due": due} if known is None else {":due": due, ":known": known}
                ),
            )
        )

    def _withdraw(self, distribution: str, due: str) -> None:
        """Forget a wake that was announced and not sent."""
        permitted(
            lambda: self.client.delete_item(
                TableName=self.name,
                Key=of_distribution(distribution, WAKE),
                ConditionExpression="due = :due",
                ExpressionAttributeValues=attributes({":due": due}),
            )
        )

    def _send(self, distribution: str, delay_s: int) -> None:
        body = json.dumps({"v": 1, "distribution": distribution})
        try:
            answer = self.queue.send_message(
                QueueUrl=self.url, MessageBody=body, DelaySeconds=delay_s
            )
        except (*UNANSWERED, ClientError) as error:
            raise QueueError(f"wake not sent: {error}") from error
        if "MessageId" not in answer:
            raise QueueError("wake not sent: half an answer, without a message's id")
