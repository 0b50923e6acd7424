"""One host's queues: commands to it, replies from it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from functions.adapters.unanswered import UNANSWERED
from functions.domain.deliveries import Delivery
from functions.domain.errors import QueueError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

BATCH: Final = 10
"""SQS: at most 10 messages a call. A long poll returns with the first, it does not fill up."""


@dataclass(frozen=True, slots=True)
class SqsHostQueues:
    """Two clients, so that a send neither waits as long as a poll does nor opens a connection."""

    commands: "SQSClient"
    replies: "SQSClient"
    commands_url: str
    replies_url: str

    def send(self, body: str) -> None:
        """Send a command; raise QueueError."""
        try:
            answer = self.commands.send_message(QueueUrl=self.commands_url, MessageBody=body)
        except (*UNANSWERED, ClientError) as error:
            raise QueueError(f"command not sent: {error}") from error
        if "MessageId" not in answer:
            raise QueueError("command not sent: half an answer, without a message's id")

    def receive(self, wait_s: int) -> Sequence[Delivery]:
        """Return replies, waiting up to `wait_s` for the first; raise QueueError."""
        asked_s = time.monotonic()
        try:
            answer = self.replies.receive_message(
                QueueUrl=self.replies_url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=wait_s
            )
        except (*UNANSWERED, ClientError) as error:
            raise QueueError(f"no replies received: {error}") from error
        messages = answer.get("Messages", ())
        if not messages and time.monotonic() - asked_s < wait_s / 2:
            raise QueueError("no replies received, and no wait for any: half an answer")
        return [Delivery(message["Body"], message["ReceiptHandle"]) for message in messages]

    def delete(self, receipts: Sequence[str]) -> None:
        """Delete received replies; raise QueueError, also where some could not be deleted."""
        failed = 0
        try:
            for start in range(0, len(receipts), BATCH):
                answer = self.replies.delete_message_batch(
                    QueueUrl=self.replies_url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": receipt}
                        for number, receipt in enumerate(receipts[start : start + BATCH])
                    ],
                )
                failed += len(answer.get("Failed", ()))
        except (*UNANSWERED, ClientError) as error:
            raise QueueError(f"replies not deleted: {error}") from error
        if failed:
            raise QueueError(f"{failed} of {len(receipts)} replies not deleted")
