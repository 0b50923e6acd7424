"""SQS through threads: what is sent again, what is not waited for, and whose clock is wrong."""

import errno
import io
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError
from botocore.parsers import ResponseParserError
from hypothesis import given
from hypothesis import strategies as st

from holdstill_agent import queues
from holdstill_agent.clock import of_date_header
from holdstill_agent.log import Log
from holdstill_agent.queues import Delivery, Receiver, Sender, refuse_strangers, skew
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


@pytest.fixture
def fake() -> FakeQueue:
    """Return SQS."""
    return FakeQueue()


@pytest.fixture
def sender(fake: FakeQueue) -> Sender:
    """Return a sender at work."""
    sender = Sender(fake, "commands", "replies", Log(io.StringIO()))
    sender.start()
    return sender


def test_reply_survives_a_lost_connection(fake: FakeQueue, sender: Sender) -> None:
    """A reply is sent again: without it a good backup is thrown away."""
    fake.failures = 2
    sender.send(REFUSED)
    sender.finish(5)
    assert len(fake.sent) == 1


def test_half_an_answer_is_no_answer(fake: FakeQueue, sender: Sender) -> None:
    """What is broken off looks to botocore like an answer without content: it is sent again."""
    fake.halves = 1
    sender.send(REFUSED)
    sender.finish(5)
    assert len(fake.sent) == 1


@pytest.mark.parametrize(
    ("kind", "accepted"),
    [("application/x-amz-json-1.0", True), ("text/xml", True), ("text/html", False), ("", False)],
)
def test_a_web_page_is_not_taken_for_an_answer(kind: str, accepted: bool) -> None:
    """A proxy's page with status 200 would say that a reply was sent, and that nothing waits."""
    headers: Any = {"content-type": kind} if kind else {}
    answer: Any = AWSResponse("https://sqs", 200, headers, None)
    if accepted:
        refuse_strangers(http_response=answer)
    else:
        with pytest.raises(ResponseParserError, match="not an answer"):
            refuse_strangers(http_response=answer)


def test_unreachable_queue_does_not_end_the_sender(fake: FakeQueue, sender: Sender) -> None:
    """A reply that cannot be sent is given up; the next one is not lost with it."""
    fake.failures = len(queues._SEND_AGAIN_AFTER_S) + 1
    sender.send(REFUSED)
    sender.send(REFUSED)
    sender.finish(10)
    assert len(fake.sent) == 1


def test_sending_never_waits(fake: FakeQueue, sender: Sender) -> None:
    """The loop hands over and goes on, whatever the network does."""
    fake.failures = 1
    began = time.monotonic()
    sender.send(REFUSED)
    sender.delete(["receipt"])
    assert time.monotonic() - began < 0.05
    sender.finish(5)


def test_any_number_is_deleted(fake: FakeQueue, sender: Sender) -> None:
    """More than SQS takes in one call are deleted in several."""
    receipts = [f"receipt-{number}" for number in range(23)]
    sender.delete(receipts)
    sender.finish(5)
    assert fake.deleted == receipts


def test_receiver_survives_and_slows_down(fake: FakeQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """While SQS cannot be reached it asks more and more slowly, and then delivers."""
    monkeypatch.setattr(queues, "_BACKOFF_S", (0.01, 0.05))
    fake.failures, fake.waiting = 3, ["one", "two"]
    log = io.StringIO()
    notes = Log(log)
    delivered: list[Delivery] = []
    arrived = threading.Event()

    def deliver(delivery: Delivery) -> None:
        delivered.append(delivery)
        if len(delivered) == 2:
            arrived.set()

    Receiver(fake, "commands", deliver, threading.Event(), notes).start()
    assert arrived.wait(5)
    assert [one.text for one in delivered] == ["one", "two"]
    notes.flush()
    assert [line.count("again_in_s") for line in log.getvalue().splitlines()] == [1, 1, 1]


def test_an_answer_that_waited_for_nothing_slows_down(
    fake: FakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half an answer looks like an empty queue: asked again at once, it would keep a core busy."""
    monkeypatch.setattr(queues, "_BACKOFF_S", (0.01, 0.05))
    fake.halves, fake.waiting = 3, ["one"]
    log = io.StringIO()
    notes = Log(log)
    arrived = threading.Event()
    Receiver(fake, "commands", lambda _: arrived.set(), threading.Event(), notes).start()
    assert arrived.wait(5)
    notes.flush()
    assert [line.count("again_in_s") for line in log.getvalue().splitlines()] == [1, 1, 1]


@pytest.mark.parametrize(
    ("second", "millisecond", "expected"), [(0, 0, -500), (1, 0, 500), (10, 250, 9750)]
)
def test_skew_is_measured_from_the_middle_of_the_second(
    second: int, millisecond: int, expected: int
) -> None:
    """The Date header counts seconds, so the measure is right to half of one."""
    now = datetime(2030, 1, 1, 0, 0, second, millisecond * 1000, tzinfo=UTC)
    assert skew({"ResponseMetadata": {"HTTPHeaders": {"date": DATE}}}, now) == expected


def test_unknown_skew_is_none() -> None:
    """Without the header nothing is known, and nothing is refused for it."""
    response: dict[str, Any] = {"ResponseMetadata": {"HTTPHeaders": {}}}
    assert skew(response, datetime(2030, 1, 1, tzinfo=UTC)) == 0


@pytest.mark.parametrize("date", ["garbage", "", "Tue, 01 Jan 0999 00:00:00 GMT"])
def test_a_date_that_is_none_tells_no_skew(date: str) -> None:
    """It is as good as no header."""
    response: dict[str, Any] = {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}
    assert skew(response, datetime(2030, 1, 1, tzinfo=UTC)) == 0


@given(st.text(max_size=40) | st.from_regex(r"1 Jan \d{1,5} 0:0:0 [+-]\d{1,12}", fullmatch=True))
def test_any_date_is_an_instant_or_none(text: str) -> None:
    """Whoever wrote it, it raises nothing, and what is computed with it stays in the calendar."""
    at = of_date_header(text)
    assert at is None or (at.utcoffset() == timedelta(0) and 2000 <= at.year < 3000)


def test_a_date_without_an_offset_is_not_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """-0000 stands for UTC of an unknown place."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "JST-9")
        time.tzset()
        at = of_date_header("Tue, 01 Jan 2030 00:00:00 -0000")
    time.tzset()
    assert at == datetime(2030, 1, 1, tzinfo=UTC)


FAILURES = [
    ConnectionClosedError(endpoint_url="https://sqs"),
    ResponseParserError("half a page"),
    RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
    UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"),
    KeyError("Body"),
    AssertionError(),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_no_failed_call_ends_a_thread(
    fake: FakeQueue, sender: Sender, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    """Whatever a call raises: the end of a thread is the end of the agent, also while it holds."""
    monkeypatch.setattr(queues, "_BACKOFF_S", (0.01,))
    monkeypatch.setattr(queues, "_SEND_AGAIN_AFTER_S", (0.01,))
    fake.failure, fake.failures = failure, 3
    sender.send(REFUSED)
    sender.delete(["receipt-lost"])
    sender.send(REFUSED)
    sender.finish(5)
    assert len(fake.sent) == 1
    fake.failures, fake.waiting = 2, ["one"]
    arrived = threading.Event()
    Receiver(fake, "commands", lambda _: arrived.set(), threading.Event(), sender._log).start()
    assert arrived.wait(5)


@pytest.mark.parametrize(
    "shape",
    [
        [{}],
        [{"Body": "one"}],
        [{"Body": 1, "ReceiptHandle": "receipt-1"}],
        ["one"],
        7,
        {"Body": "one"},
    ],
    ids=str,
)
def test_json_of_another_form_is_not_taken_for_messages(
    fake: FakeQueue, monkeypatch: pytest.MonkeyPatch, shape: object
) -> None:
    """Somebody who is not SQS answers in JSON: it is a failed call, and the next one is made."""
    monkeypatch.setattr(queues, "_BACKOFF_S", (0.01,))
    fake.shape, fake.waiting = shape, ["two"]
    log = io.StringIO()
    notes = Log(log)
    delivered: SimpleQueue[Delivery] = SimpleQueue()
    Receiver(fake, "commands", delivered.put, threading.Event(), notes).start()
    assert delivered.get(timeout=5).text == "two"
    notes.flush()
    assert log.getvalue().count("receive-failed") == 1


def test_a_command_with_a_garbage_date_is_delivered(fake: FakeQueue) -> None:
    """The skew is unknown then, no more."""
    fake.date, fake.waiting = "garbage", ["one"]
    delivered: SimpleQueue[Delivery] = SimpleQueue()
    notes = Log(io.StringIO())
    Receiver(fake, "commands", delivered.put, threading.Event(), notes).start()
    assert delivered.get(timeout=5).skew_ms == 0


def test_what_sqs_did_not_delete_is_told(fake: FakeQueue) -> None:
    """It says so in an answer with status 200: a receipt that is void leads to the dead letters."""
    fake.undeletable = True
    log = io.StringIO()
    notes = Log(log)
    sender = Sender(fake, "commands", "replies", notes)
    sender.start()
    sender.delete(["receipt-1"])
    sender.finish(5)
    notes.flush()
    assert "ReceiptHandleIsInvalid" in log.getvalue()


class FullDisk(io.StringIO):
    """A stream whose disk has no room, which it says when it is written or when it is flushed."""

    full_at = ""

    def write(self, text: str) -> int:
        """Write if there is room."""
        self._require_room("write")
        return super().write(text)

    def flush(self) -> None:
        """Flush if there is room."""
        self._require_room("flush")

    def _require_room(self, at: str) -> None:
        if self.full_at == at:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("full_at", ["write", "flush"])
def test_a_log_that_cannot_be_written_costs_lines_only(full_at: str) -> None:
    """The loop flushes it: what that raised would end the agent each time it has begun."""
    stream = FullDisk()
    log = Log(stream)
    stream.full_at = full_at
    log.event("lost")
    log.flush()
    stream.full_at = ""
    log.event("written")
    log.flush()
    assert json.loads(stream.getvalue().splitlines()[-1])["event"] == "written"
