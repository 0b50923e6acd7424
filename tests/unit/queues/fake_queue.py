"""SQS through a client that fails as it is told."""

import threading
from typing import Any

from botocore.exceptions import EndpointConnectionError

from holdstill_protocol.messages import RefusalCode, Refused

REFUSED = Refused("run-1", "recipes-db", RefusalCode.BUSY, "another run")
DATE = "Tue, 01 Jan 2030 00:00:00 GMT"


class FakeQueue:
    """Two queues with SQS's rules: at most ten a call, and sometimes nobody answers."""

    def __init__(self) -> None:
        self.failures = 0
        self.failure: Exception = EndpointConnectionError(endpoint_url="https://sqs")
        self.date = DATE
        self.shape: Any = None
        self.halves = 0
        self.sent: list[str] = []
        self.deleted: list[str] = []
        self.waiting: list[str] = []
        self.undeletable = False

    def send_message(self, QueueUrl: str, MessageBody: str) -> dict[str, str]:  # noqa: N803 - SQS's
        """Send one message."""
        assert QueueUrl == "replies"
        self._fail()
        if self.halves:
            self.halves -= 1
            return {}
        self.sent.append(MessageBody)
        return {"MessageId": str(len(self.sent))}

    def delete_message_batch(
        self,
        QueueUrl: str,  # noqa: N803
        Entries: list[dict[str, str]],  # noqa: N803
    ) -> dict[str, Any]:
        """Delete up to ten messages."""
        assert QueueUrl == "commands"
        assert 1 <= len(Entries) <= 10
        assert len({entry["Id"] for entry in Entries}) == len(Entries)
        self._fail()
        if self.undeletable:
            failed = [{"Id": one["Id"], "Code": "ReceiptHandleIsInvalid"} for one in Entries]
            return {"Failed": failed}
        self.deleted += [entry["ReceiptHandle"] for entry in Entries]
        return {}

    def receive_message(self, **_: object) -> dict[str, Any]:
        """Return what waits; block for good when there is nothing more."""
        self._fail()
        if self.halves:
            self.halves -= 1
            return {}
        if self.shape is not None:
            shape, self.shape = self.shape, None
            return {"Messages": shape, "ResponseMetadata": {"HTTPHeaders": {}}}
        if not self.waiting:
            threading.Event().wait()
        messages = [{"Body": body, "ReceiptHandle": f"receipt-{body}"} for body in self.waiting]
        self.waiting = []
        return {"Messages": messages, "ResponseMetadata": {"HTTPHeaders": {"date": self.date}}}

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise self.failure
