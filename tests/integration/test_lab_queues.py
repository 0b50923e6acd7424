"""The emulator's queues, as the benchmark needs them: no delay but the one that is asked for."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ReadTimeoutError

if TYPE_CHECKING:
    from lab.region import Region

pytestmark = pytest.mark.emulator


@pytest.fixture
def queue(region: Region) -> str:
    """Return the URL of an empty queue."""
    url: str = region.client("sqs").create_queue(QueueName="hops")["QueueUrl"]
    return url


def hop_ms(region: Region, queue: str, times: int) -> list[float]:
    """Return how long after its send each of `times` messages reached a blocked receive, sorted."""
    received: list[float] = []
    sqs = region.client("sqs")

    def receive() -> None:
        own = region.client("sqs")
        while len(received) < times:
            for message in own.receive_message(QueueUrl=queue, WaitTimeSeconds=5).get(
                "Messages", []
            ):
                received.append(time.monotonic())
                own.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    receiver = threading.Thread(target=receive)
    receiver.start()
    sent = []
    for _ in range(times):
        time.sleep(0.15)  # longer than MiniStack's own look, so that each receive blocks again
        sent.append(time.monotonic())
        sqs.send_message(QueueUrl=queue, MessageBody="x")
    receiver.join()
    return sorted((got - at) * 1000 for got, at in zip(received, sent, strict=True))


def test_a_send_wakes_a_blocked_receive(region: Region, queue: str) -> None:
    """A hop is HTTP and nothing else: some answers of the same queue long, however slow they are.

    Without the wake the look every 50 ms makes it 20 to 40 ms, where an answer takes 3.
    """
    sqs = region.client("sqs")
    answers_ms = []
    for _ in range(12):
        asked = time.monotonic()
        sqs.get_queue_attributes(QueueUrl=queue)
        answers_ms.append((time.monotonic() - asked) * 1000)
    assert statistics.median(hop_ms(region, queue, 12)) < max(15, 6 * statistics.median(answers_ms))


def test_a_hop_takes_its_latency_until_told_otherwise(region: Region, queue: str) -> None:
    """A message is receivable H ms after its send, not before, and not much later."""
    region.set_hop_ms(80)
    assert 80 <= hop_ms(region, queue, 4)[0] < 150, "the rest is the machine's other work"
    region.set_hop_ms(0)
    assert hop_ms(region, queue, 8)[0] < 80


def test_a_message_waits_for_a_caller_that_is_there(region: Region, queue: str) -> None:
    """A killed agent's half-open receive must not swallow the message for the next agent."""
    impatient: Any = region.client("sqs", read_timeout=0.3, retries={"total_max_attempts": 1})
    with contextlib.suppress(ReadTimeoutError):
        impatient.receive_message(QueueUrl=queue, WaitTimeSeconds=20)
    time.sleep(0.1)
    sqs = region.client("sqs")
    sqs.send_message(QueueUrl=queue, MessageBody="still here")
    messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1)["Messages"]
    assert [message["Body"] for message in messages] == ["still here"]
