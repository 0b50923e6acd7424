"""The twin host behind real queues: a thread that polls, lets the host act, and sends replies."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from functions.adapters.clock import SystemClock
from tests.twins.host import TwinHost


class RealClock(SystemClock):
    """This process's clocks, for a twin."""

    @property
    def now_ms(self) -> int:
        """The monotonic clock, in milliseconds."""
        return self.now_ns() // 1_000_000


@contextmanager
def relayed(host: TwinHost, sqs: Any, commands_url: str, replies_url: str) -> Iterator[None]:
    """Let the host serve the queues while the block runs."""
    over = Event()

    def serve() -> None:
        while not over.is_set():
            got = sqs.receive_message(QueueUrl=commands_url, WaitTimeSeconds=1)
            for message in got.get("Messages", ()):
                host.send(message["Body"])
                while host.inbox:
                    sqs.send_message(QueueUrl=replies_url, MessageBody=host.inbox.pop(0))
                receipt = message["ReceiptHandle"]
                sqs.delete_message(QueueUrl=commands_url, ReceiptHandle=receipt)

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
