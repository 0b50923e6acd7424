"""The conductor's end of the agent's queues, and whether writes go on at the host."""

import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from holdstill_protocol.codec import decode_reply, encode
from holdstill_protocol.messages import (
    Command,
    Freeze,
    Frozen,
    Prepare,
    Prepared,
    Reply,
    Thaw,
    Thawed,
)
from lab.host import Probe

TARGET = "recipes-db"
VOLUME = "vol-0123456789abcdef0"


@dataclass
class Conversation:
    """One run after the other; replies to earlier ones are passed over."""

    sqs: Any
    commands_url: str
    replies_url: str
    run: str = ""

    def prepare(self) -> Prepared:
        """Prepare a new run."""
        self.run = f"{TARGET}.{time.monotonic_ns()}.1"
        self.command(Prepare)
        prepared = self.reply()
        assert isinstance(prepared, Prepared), prepared
        return prepared

    def freeze(self) -> Frozen:
        """Prepare and freeze a new run."""
        prepared = self.prepare()
        assert prepared.volumes == (VOLUME,)
        self.command(Freeze)
        frozen = self.reply()
        assert isinstance(frozen, Frozen), frozen
        return frozen

    def thaw(self) -> Thawed:
        """Thaw the run, and return how that went."""
        self.command(Thaw)
        return self.thawed()

    def whole_run(self) -> None:
        """Go through a run: the agent serves."""
        self.freeze()
        assert self.thaw().intact

    def thawed(self) -> Thawed:
        """Return the run's end."""
        thawed = self.reply()
        assert isinstance(thawed, Thawed), thawed
        return thawed

    def command(self, kind: type[Command]) -> None:
        """Send a command."""
        expires_at = datetime.now(UTC) + timedelta(seconds=30)
        message = encode(kind(self.run, TARGET, 1, expires_at))
        self.sqs.send_message(QueueUrl=self.commands_url, MessageBody=message)

    def reply(self, within_s: float = 20) -> Reply:
        """Return the run's next reply."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            received = self.sqs.receive_message(QueueUrl=self.replies_url, WaitTimeSeconds=1)
            for message in received.get("Messages", []):
                receipt = message["ReceiptHandle"]
                self.sqs.delete_message(QueueUrl=self.replies_url, ReceiptHandle=receipt)
                reply = decode_reply(message["Body"])
                if reply.run_id == self.run:
                    return reply
        raise AssertionError("no reply")


@dataclass(frozen=True)
class Writes:
    """What is written at the host all the time: through the database, and to a file beside it."""

    probes: dict[str, Probe]

    def returned_ms(self, since_ns: int, within_s: float = 20) -> int:
        """Wait until both write again; return how long after `since_ns` (monotonic) they did."""
        soon(lambda: all(probe.latest_ns > since_ns for probe in self.probes.values()), within_s)
        took_ms = {}
        for name, probe in self.probes.items():
            samples = probe.samples()
            took_ms[name] = (samples[bisect_right(samples, since_ns)] - since_ns) // 1_000_000
        print(f"writes returned after {took_ms} ms")  # noqa: T201 - shown where a test fails
        return max(took_ms.values())


def soon(holds: Callable[[], object], within_s: float = 10) -> None:
    """Return as soon as it holds; fail if it does not in time."""
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, f"not in {within_s} s"
        time.sleep(0.01)
