"""SQS through threads: what is sent again, what is not waited for, and what ends no thread."""

import io
import threading
import time
from queue import SimpleQueue
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.parsers import ResponseParserError

from holdstill_agent import queues
from holdstill_agent.log import Log
from holdstill_agent.queues import Delivery, Receiver, Sender, refuse_strangers
from tests.unit.queues.fake_queue import REFUSED, FakeQueue


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
