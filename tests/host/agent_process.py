"""The agent as a process of its own, and the conductor's end of its queues."""

import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from holdstill_protocol.codec import decode_reply, encode
from holdstill_protocol.messages import Command, Freeze, Frozen, Prepare, Prepared, Reply, Thawed
from lab.host import DatabaseHost
from tests.host.conftest import VOLUME
from tests.host.freezing import is_frozen

TARGET = "recipes-db"
SOURCES = Path(__file__).parents[2] / "agent" / "src"


@dataclass
class Agent:
    """A running agent, and the conductor's end of its queues."""

    host: DatabaseHost
    sqs: Any
    commands_url: str
    replies_url: str
    config: Path
    environ: Mapping[str, str]
    process: subprocess.Popen[bytes]
    run: str = ""

    @property
    def point(self) -> Path:
        """The mount that it freezes."""
        return self.host.places.mounts[0]

    def command(self, kind: type[Command]) -> None:
        """Send a command."""
        expires_at = datetime.now(UTC) + timedelta(seconds=20)
        self.text(encode(kind(self.run, TARGET, 1, expires_at)))

    def text(self, text: str) -> None:
        """Send a message."""
        self.sqs.send_message(QueueUrl=self.commands_url, MessageBody=text)

    def reply(self, within_s: float = 20) -> Reply:
        """Return the run's next reply; the first takes 11 to 15 s where strace slows the start."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            received = self.sqs.receive_message(QueueUrl=self.replies_url, WaitTimeSeconds=1)
            for message in received.get("Messages", []):
                receipt = message["ReceiptHandle"]
                self.sqs.delete_message(QueueUrl=self.replies_url, ReceiptHandle=receipt)
                return decode_reply(message["Body"])
        raise AssertionError("no reply")

    def thawed(self) -> Thawed:
        """Return the run's end."""
        reply = self.reply()
        assert isinstance(reply, Thawed), reply
        return reply

    def prepare(self) -> None:
        """Prepare a new run."""
        self.run = f"{TARGET}.{time.monotonic_ns()}.1"
        self.command(Prepare)
        prepared = self.reply()
        assert isinstance(prepared, Prepared), prepared
        assert prepared.volumes == (VOLUME,)

    def freeze(self) -> Frozen:
        """Prepare and freeze a new run."""
        self.prepare()
        self.command(Freeze)
        frozen = self.reply()
        assert isinstance(frozen, Frozen), frozen
        assert is_frozen(self.point)
        return frozen

    def freezer(self) -> psutil.Process:
        """Return the freezer that it started."""
        (child,) = psutil.Process(self.process.pid).children()
        return child

    def nothing_is_held(self) -> bool:
        """Return whether files and rows can be written."""
        with self.host.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION lock_wait_timeout = 1")
            cursor.execute("CREATE OR REPLACE TABLE test_held.written (id INT)")
        return not is_frozen(self.point)
