"""SQS, by two threads: one waits for commands, one sends replies and deletes what was taken.

The loop itself never waits for the network: while it did, nobody would watch the deadline.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from queue import SimpleQueue
from typing import Any

import boto3
from botocore.config import Config as ClientConfig
from botocore.parsers import ResponseParserError

from holdstill_agent import signing
from holdstill_agent.clock import monotonic_ms, of_date_header, wall
from holdstill_agent.log import Log
from holdstill_protocol.codec import encode
from holdstill_protocol.messages import Reply

LONG_POLL_S = 20  # SQS's longest
_BATCH = 10  # SQS's largest
_BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
_SEND_AGAIN_AFTER_S = (0.1, 0.5, 2.0)
_COURTESY_S = 0.015  # a thaw follows the answer to its freeze by at least two hops
_NEEDED = ("Body", "ReceiptHandle")
_NO_POLL_S = 1.0  # SQS says nothing for 20 s where there is no message


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it was received. `skew_ms`: this host's wall clock less the queue's."""

    text: str
    receipt: str
    received_at: datetime
    received_at_ms: int
    skew_ms: int


def make_client(region: str) -> Any:
    """Return the one SQS client, which both threads share.

    One attempt a call: repeating is decided here, where it is known what still makes sense.
    """
    session = boto3.Session(region_name=region)
    signing.install(session.get_credentials)
    client = session.client(
        "sqs",
        config=ClientConfig(
            connect_timeout=3,
            read_timeout=LONG_POLL_S + 3,
            retries={"total_max_attempts": 1},
            signature_version=signing.VERSION,
            tcp_keepalive=True,
            parameter_validation=False,  # the few parameters are ours
        ),
    )
    # In this order: nobody but SQS sets the clock that is signed by.
    client.meta.events.register("after-call.*", refuse_strangers)
    client.meta.events.register("after-call.*", signing.heed)
    return client


def refuse_strangers(http_response: Any, **_: object) -> None:
    """Raise ResponseParserError for a web page in SQS's place: botocore takes it for an answer."""
    kind = http_response.headers.get("content-type", "")
    if "json" not in kind and "xml" not in kind:
        raise ResponseParserError(f"not an answer of SQS, but {kind or 'something untyped'}")


class Receiver:
    """Waits for commands, and hands each to `deliver`, in its own thread.

    Nothing ends the thread: it would end the agent, and before its time what that holds.
    """

    def __init__(
        self,
        client: Any,
        url: str,
        deliver: Callable[[Delivery], None],
        answered: threading.Event,
        log: Log,
    ) -> None:
        self._client = client
        self._url = url
        self._deliver = deliver
        self._answered = answered
        self._log = log
        self._failures = 0
        self._pause = threading.Event()

    def start(self) -> None:
        """Receive until the process ends, more slowly while that fails."""
        threading.Thread(target=self._run, name="receiver", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                deliveries = self._receive()
            except Exception as error:  # noqa: BLE001 - see `_why`
                self._back_off(_why(error))
                continue
            self._failures = 0
            self._answered.clear()
            for delivery in deliveries:
                self._deliver(delivery)
            if deliveries:
                # The loop's work comes first: preparing the next receive is a millisecond of
                # Python, during which no other thread runs.
                self._answered.wait(_COURTESY_S)

    def _receive(self) -> list[Delivery]:
        asked_at_ms = monotonic_ms()
        response = self._client.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=_BATCH, WaitTimeSeconds=LONG_POLL_S
        )
        messages = response.get("Messages", [])
        if not messages and monotonic_ms() - asked_at_ms < _NO_POLL_S * 1000:
            raise ResponseParserError(
                "no message, and no wait for one: half an answer, or not of SQS"
            )
        if not all(isinstance(one[name], str) for one in messages for name in _NEEDED):
            raise ResponseParserError("messages of another form than SQS's")
        skew_ms = skew(response, wall()) if messages else 0
        return [
            Delivery(message["Body"], message["ReceiptHandle"], wall(), monotonic_ms(), skew_ms)
            for message in messages
        ]

    def _back_off(self, why: str) -> None:
        wait_s = _BACKOFF_S[min(self._failures, len(_BACKOFF_S) - 1)]
        self._failures += 1
        self._log.event("receive-failed", error=why, again_in_s=wait_s)
        self._pause.wait(wait_s)


class Sender:
    """Sends replies and deletes taken commands, in the order given. Nothing ends its thread."""

    def __init__(self, client: Any, commands_url: str, replies_url: str, log: Log) -> None:
        self._client = client
        self._commands_url = commands_url
        self._replies_url = replies_url
        self._log = log
        self._work: SimpleQueue[Reply | list[str] | None] = SimpleQueue()
        self._again = threading.Event()
        self.answered = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def send(self, reply: Reply) -> None:
        """Send a reply soon."""
        self._work.put(reply)

    def delete(self, receipts: list[str]) -> None:
        """Delete taken commands soon."""
        self._work.put(receipts)

    def finish(self, within_s: float) -> None:
        """Send what is left, and end."""
        self._work.put(None)
        self._thread.join(within_s)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            if isinstance(work, list):
                self._delete(work)
            else:
                self._send(work)

    def _send(self, reply: Reply) -> None:
        for again_after_s in (*_SEND_AGAIN_AFTER_S, None):
            try:
                self._post(reply)
            except Exception as error:  # noqa: BLE001 - see `_why`
                self._log.event(
                    "send-failed",
                    reply=type(reply).__name__,
                    run_id=reply.run_id,
                    error=_why(error),
                    again_in_s=again_after_s,
                )
                if again_after_s:
                    self._again.wait(again_after_s)
            else:
                self.answered.set()
                return

    def _post(self, reply: Reply) -> None:
        answer = self._client.send_message(QueueUrl=self._replies_url, MessageBody=encode(reply))
        if "MessageId" not in answer:
            raise ResponseParserError("half an answer, without a message's id")

    def _delete(self, receipts: list[str]) -> None:
        """Delete them; one that stays is delivered again, and does nothing then."""
        for first in range(0, len(receipts), _BATCH):
            batch = receipts[first : first + _BATCH]
            entries = [{"Id": str(n), "ReceiptHandle": receipt} for n, receipt in enumerate(batch)]
            try:
                answer = self._client.delete_message_batch(
                    QueueUrl=self._commands_url, Entries=entries
                )
                failed = [one["Code"] for one in answer.get("Failed", [])]
            except Exception as error:  # noqa: BLE001 - see `_why`
                self._log.event("delete-failed", error=_why(error))
            else:
                if failed:  # an answer with status 200 says so of each
                    self._log.event("delete-failed", error=", ".join(failed))


def _why(error: Exception) -> str:
    """Return what a call failed of.

    Any exception is a failed call, not the end of its thread: botocore raises RuntimeError for
    credentials that its provider no longer renews, KeyError and TypeError for JSON of another form,
    and whatever a provider of credentials raises. Each is logged, and the call made again.
    """
    return str(error) or type(error).__name__


def skew(response: Any, now: datetime) -> int:
    """Return `now` less the queue's clock, in milliseconds, by the response's Date header.

    The header counts whole seconds: half a second is its middle, and the measure's error. 0 where
    it tells no time.
    """
    second = of_date_header(response["ResponseMetadata"]["HTTPHeaders"].get("date"))
    if second is None:
        return 0
    return round((now - second - timedelta(milliseconds=500)).total_seconds() * 1000)
