"""The loop in its own thread, with the real machine, and hands that only note what is held."""

import io
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from holdstill_agent.clock import Pause, monotonic_ms, wall
from holdstill_agent.config import load
from holdstill_agent.hold import Hold
from holdstill_agent.hooks import HookReport
from holdstill_agent.log import Log
from holdstill_agent.loop import Loop
from holdstill_agent.queues import Delivery
from holdstill_protocol.codec import encode
from holdstill_protocol.host_model import (
    Failed,
    HoldLost,
    Host,
    PreflightPassed,
    QuiesceHeld,
    Released,
    Shutdown,
)
from holdstill_protocol.messages import (
    Command,
    Freeze,
    Frozen,
    Lock,
    Prepare,
    Prepared,
    RefusalCode,
    Reply,
    ThawReason,
)

TARGET = "recipes-db"
RUN = "recipes-db.20300101T000000Z.1"
BUDGET_MS = 400
EXAMPLE = Path(__file__).parents[3] / "agent" / "agent.example.toml"


class NotedHold(Hold):
    """Holds nothing but notes; `gate` keeps a quiesce from ending, `line_end` is the freezer's."""

    def __init__(self) -> None:
        super().__init__(load(EXAMPLE))
        self.held = False
        self.connected = False
        self.gate = threading.Event()
        self.gate.set()
        self.quiescing = threading.Event()
        self.patient = False
        self.owing = self.hurried = False
        self.paying, self.paid = threading.Event(), threading.Event()
        self.tidying, self.tidied = threading.Event(), threading.Event()
        self.tidied.set()
        self._line, self.line_end = socket.socketpair()

    def preflight(self, run_id: str, until_ms: int, pause: Pause) -> PreflightPassed | Failed:
        """Pass at once, or, if `patient`, wait for a quiet moment that does not come."""
        while self.patient and monotonic_ms() < until_ms:
            if not pause(0.05):
                return Failed(run_id, RefusalCode.PREFLIGHT_FAILED, "no longer wanted")
        self.connected = True
        return PreflightPassed(run_id, ("vol-0123456789abcdef0",), (), monotonic_ms())

    def undo(self, pause: Pause, *, at_once: bool = False) -> Iterator[HookReport]:
        """Pay what is owed, which takes until `paid`."""
        self.hurried |= at_once
        if self.owing:
            assert not self.held
            self.owing = False
            self.paying.set()
            while not self.paid.is_set():
                assert pause(0.02)
            yield HookReport(RUN, "it ended with 1", 5)

    def tidy(self, pause: Pause = lambda _: True) -> None:
        """Wait until `tidied`: a freezer hangs, and its guard has not thawed yet."""
        while not self.tidied.is_set():
            assert not self.held
            self.tidying.set()
            assert pause(0.02)

    def quiesce(self, run_id: str, expires_at_ms: int) -> QuiesceHeld | Failed:
        """Hold, once the gate is open."""
        assert self.connected
        assert expires_at_ms > monotonic_ms()
        self.quiescing.set()
        self.gate.wait()
        self.held = True
        return QuiesceHeld(run_id, monotonic_ms(), 1, 2, None)

    def release(self, run_id: str) -> Released:
        """Let go."""
        self.held = self.connected = False
        return Released(run_id, intact=True, held_ms=5, locked_ms=6)

    def line(self) -> int | None:
        """Return the freezer's line."""
        return self._line.fileno()

    def lost(self, run_id: str) -> HoldLost:
        """Say that the line has ended."""
        return HoldLost(run_id, ThawReason.LOST_FREEZER)

    def abandon(self, run_id: str) -> None:
        """Disconnect."""
        assert run_id
        assert not self.held, "only a release gives back"
        self.connected = False


class Rig:
    """A running loop, its queue's two ends and its log."""

    def __init__(self, *, started: bool = True) -> None:
        self.hold = NotedHold()
        self.replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self.deleted: list[str] = []
        self.log = io.StringIO()
        host = Host(TARGET, BUDGET_MS, Lock.FTWRL, freeze=True, max_clock_skew_ms=2000)
        self.loop = Loop(host, self.hold, self, Log(self.log), monotonic_ms)
        self.thread = threading.Thread(target=self.loop.run)
        if started:
            self.thread.start()

    def send(self, reply: Reply) -> None:
        """Take a reply of the agent."""
        self.replies.put(reply)

    def delete(self, receipts: list[str]) -> None:
        """Delete commands."""
        self.deleted += receipts

    def text(self, text: str, *, skew_ms: int = 0) -> None:
        """Deliver a message; its receipt is its first words."""
        self.loop.deliver(Delivery(text, text[:80], wall(), monotonic_ms(), skew_ms))

    def command(self, kind: type[Command], run: str = RUN, expires_in_s: float = 30) -> str:
        """Deliver a command; return its text."""
        text = encode(kind(run, TARGET, 1, wall() + timedelta(seconds=expires_in_s)))
        self.text(text)
        return text

    def reply(self) -> Reply:
        """Return the next reply."""
        return self.replies.get(timeout=3)

    def freeze(self) -> None:
        """Bring a run to where everything is held."""
        self.command(Prepare)
        assert isinstance(self.reply(), Prepared)
        self.command(Freeze)
        assert isinstance(self.reply(), Frozen)
        assert self.hold.held

    def events(self) -> list[str]:
        """Return the names of the logged events."""
        return [json.loads(line)["event"] for line in self.log.getvalue().splitlines()]

    def stop(self) -> None:
        """Tell it to stop, and wait until it has."""
        self.hold.gate.set()
        self.loop.deliver(Shutdown())
        self.thread.join(5)
        assert not self.thread.is_alive()
        assert not self.hold.held


def eventually(condition: Callable[[], bool], within_s: float = 3) -> bool:
    """Wait for it; return whether it came."""
    until = time.monotonic() + within_s
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    return condition()
