"""The loop in its own thread, with the real machine, and hands that only note what is held."""

import io
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

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
    Refused,
    Reply,
    Thaw,
    Thawed,
    ThawReason,
)

TARGET = "recipes-db"
RUN = "recipes-db.20300101T000000Z.1"
BUDGET_MS = 400
EXAMPLE = Path(__file__).parents[2] / "agent" / "agent.example.toml"


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


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Return a running loop."""
    rig = Rig()
    yield rig
    rig.stop()


def eventually(condition: Callable[[], bool], within_s: float = 3) -> bool:
    """Wait for it; return whether it came."""
    until = time.monotonic() + within_s
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    return condition()


def test_run_goes_through(rig: Rig) -> None:
    """Prepare, freeze, thaw: each answered, and nothing held at the end."""
    rig.freeze()
    rig.command(Thaw)
    thawed = rig.reply()
    assert isinstance(thawed, Thawed)
    assert (thawed.reason, thawed.intact, thawed.held_ms) == (ThawReason.COMMANDED, True, 5)
    assert not rig.hold.held


def test_deadline_releases_without_a_command(rig: Rig) -> None:
    """A lost thaw costs one backup, never the database."""
    rig.freeze()
    began = time.monotonic()
    thawed = rig.reply()
    assert isinstance(thawed, Thawed)
    assert thawed.reason is ThawReason.DEADLINE
    assert 0.2 < time.monotonic() - began < BUDGET_MS / 1000 + 0.3


def test_lost_freezer_releases_the_lock(rig: Rig) -> None:
    """When the freezer's line ends, the lock goes back at once and the truth is told."""
    rig.freeze()
    rig.hold.line_end.close()
    thawed = rig.reply()
    assert isinstance(thawed, Thawed)
    assert thawed.reason is ThawReason.LOST_FREEZER
    assert not rig.hold.held


def test_thaw_during_the_lock_wait_wins(rig: Rig) -> None:
    """A thaw that comes before its freeze is held gives back at once, and nothing says frozen."""
    rig.hold.gate.clear()
    rig.command(Prepare)
    rig.reply()
    rig.command(Freeze)
    assert rig.hold.quiescing.wait(3)
    rig.command(Thaw)
    rig.hold.gate.set()
    assert isinstance(rig.reply(), Thawed)
    assert not rig.hold.held


def test_stop_releases_first(rig: Rig) -> None:
    """Told to stop while frozen, the agent thaws, says so, and only then ends."""
    rig.freeze()
    rig.stop()
    thawed = rig.reply()
    assert isinstance(thawed, Thawed)
    assert thawed.reason is ThawReason.SHUTDOWN


def test_nothing_begins_after_a_stop() -> None:
    """A command right behind the signal is left on the queue, for the next agent."""
    rig = Rig(started=False)
    rig.loop.deliver(Shutdown())
    rig.command(Prepare)
    rig.thread.start()
    rig.stop()
    assert not rig.hold.connected
    assert "preflight" not in rig.events()
    assert rig.replies.empty()
    assert rig.deleted == []


@pytest.mark.parametrize("how", ["thaw", "shutdown"])
def test_patient_preflight_can_be_ended(rig: Rig, how: str) -> None:
    """Waiting for a quiet moment ends when nobody wants it any more."""
    rig.hold.patient = True
    rig.command(Prepare)
    time.sleep(0.1)
    began = time.monotonic()
    if how == "thaw":
        rig.command(Thaw)
        assert eventually(lambda: "command" in rig.events()[-1:])
    else:
        rig.stop()
        refused = rig.reply()
        assert isinstance(refused, Refused)
        assert refused.code is RefusalCode.SHUTDOWN
    assert time.monotonic() - began < 1


def test_commands_are_deleted_after_the_thaw(rig: Rig) -> None:
    """While the host is held nothing is done that can wait; then what was taken is deleted."""
    rig.command(Prepare)
    rig.reply()
    assert eventually(lambda: len(rig.deleted) == 1)
    rig.command(Freeze)
    assert isinstance(rig.reply(), Frozen)
    time.sleep(0.1)
    assert len(rig.deleted) == 1
    rig.command(Thaw)
    rig.reply()
    assert eventually(lambda: len(rig.deleted) == 3)


def _wrong(**changes: object) -> str:
    message = json.loads(encode(Freeze(RUN, TARGET, 2, datetime(2999, 1, 1, tzinfo=UTC))))
    return json.dumps(message | changes)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", None),
        ("\x00\x01{", None),
        ("[" * 100_000, None),
        ("x" * 1_048_576, None),
        ('{"v":1}', None),
        (_wrong(v=2), RefusalCode.UNSUPPORTED_VERSION),
        (_wrong(v="1"), RefusalCode.MALFORMED),
        (_wrong(type="format"), RefusalCode.UNKNOWN_TYPE),
        (_wrong(seq=-1), RefusalCode.MALFORMED),
        (_wrong(expires_at="tomorrow"), RefusalCode.MALFORMED),
        (_wrong(expires_at="9999-12-31T23:59:59-23:59"), RefusalCode.MALFORMED),
        (_wrong(run_id="../../etc/passwd"), None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_unreadable_message_changes_nothing(rig: Rig, text: str, code: RefusalCode | None) -> None:
    """It is logged by name, answered if it names a run, left to the dead-letter queue."""
    rig.text(text)
    if code:
        refused = rig.reply()
        assert isinstance(refused, Refused)
        assert (refused.run_id, refused.target, refused.code) == (RUN, TARGET, code)
    assert eventually(lambda: "message-refused" in rig.events())
    assert len(rig.log.getvalue()) < 2000, "noise is not copied into the log"
    rig.freeze()
    assert text[:80] not in rig.deleted


@pytest.mark.parametrize(
    ("changes", "skew_ms", "code"),
    [
        ({"target": "another-db"}, 0, RefusalCode.FOREIGN_TARGET),
        ({"target": "x" * 200_000}, 0, RefusalCode.FOREIGN_TARGET),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 0, RefusalCode.EXPIRED),
        ({}, 5000, RefusalCode.CLOCK_SKEW),
        ({}, -5000, RefusalCode.CLOCK_SKEW),
    ],
)
def test_unfit_command_is_refused_and_deleted(
    rig: Rig, changes: dict[str, str], skew_ms: int, code: RefusalCode
) -> None:
    """A command that is understood and not obeyed is answered with a reason, once."""
    text = json.dumps(json.loads(_wrong(**changes)) | {"type": "prepare"})
    rig.text(text, skew_ms=skew_ms)
    refused = rig.reply()
    assert isinstance(refused, Refused)
    assert refused.code is code
    assert len(encode(refused)) < 1000
    assert eventually(lambda: text[:80] in rig.deleted)
    assert not rig.hold.connected


def test_repeated_commands_do_nothing(rig: Rig) -> None:
    """SQS delivers twice: the second time is logged and otherwise without effect."""
    rig.freeze()
    rig.command(Prepare)
    rig.command(Freeze)
    rig.command(Thaw)
    assert isinstance(rig.reply(), Thawed)
    for kind in (Thaw, Freeze, Prepare):
        rig.command(kind)
    assert eventually(lambda: rig.events().count("command-ignored") == 5)
    assert rig.replies.empty()


def test_nothing_is_logged_while_held(rig: Rig) -> None:
    """Standard error may lead to the frozen filesystem: lines wait for the thaw, none is lost."""
    rig.command(Prepare)
    rig.reply()
    assert eventually(lambda: "reply" in rig.events())
    before = rig.log.getvalue()
    rig.command(Freeze)
    rig.reply()
    rig.text("noise")
    time.sleep(0.1)
    assert rig.hold.held
    assert rig.log.getvalue() == before
    rig.command(Thaw)
    rig.reply()
    assert eventually(lambda: rig.events().count("command") == 3)
    assert "message-refused" in rig.events()
