"""One run overtakes another: what each connects is its own, and the later one goes through."""

import io
import queue
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from holdstill_agent.clock import monotonic_ms, wall
from holdstill_agent.config import load
from holdstill_agent.hold import Hold
from holdstill_agent.hooks import Hooks
from holdstill_agent.log import Log
from holdstill_agent.loop import Loop
from holdstill_agent.preflight import Preflight
from holdstill_agent.queues import Delivery
from holdstill_protocol.codec import encode
from holdstill_protocol.host_model import Host, PreflightPassed, QuiesceHeld, Shutdown
from holdstill_protocol.messages import (
    Command,
    Freeze,
    Frozen,
    Lock,
    Prepare,
    Prepared,
    Reply,
    Thaw,
    Thawed,
)
from tests.unit.hold.fake_host import FakeDatabase, FakeFreezer, FakeLookout, World

EXAMPLE = Path(__file__).parents[2] / "agent" / "agent.example.toml"
TARGET = "recipes-db"
FIRST, SECOND = "recipes-db.20300101T000000Z.1", "recipes-db.20300101T000000Z.2"


class OneFreezer(FakeFreezer):
    """Is refused while another one's line is open, as by the marker's lock."""

    open_lines = 0

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._is_open = OneFreezer.open_lines == 0
        assert self._is_open, "busy: another freezer lives"
        OneFreezer.open_lines += 1

    def close(self) -> None:
        """End the line, once."""
        super().close()
        OneFreezer.open_lines -= self._is_open
        self._is_open = False


class Rig:
    """A hold on a fake host; `during` is what the queue brings while the first is prepared."""

    def __init__(self, folder: Path) -> None:
        OneFreezer.open_lines = 0
        self.world = World()
        self.replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self.during: list[tuple[type[Command], str]] = []
        rig = self

        class PassedPreflight(Preflight):
            def run(self) -> None:
                self.volumes = ("vol-0123456789abcdef0",)
                self.freezer, self.database = OneFreezer(rig.world), FakeDatabase(rig.world)
                self.lookout = FakeLookout(rig.world)
                while rig.during:
                    rig.command(*rig.during.pop(0))

        config = replace(load(EXAMPLE), state_dir=str(folder))
        self.hold = Hold(config, PassedPreflight)
        host = Host(TARGET, config.budget_ms, Lock.FTWRL, freeze=True, max_clock_skew_ms=2000)
        self.loop = Loop(host, self.hold, self, Log(io.StringIO()), monotonic_ms)

    def send(self, reply: Reply) -> None:
        """Take a reply."""
        self.replies.put(reply)

    def delete(self, receipts: list[str]) -> None:
        """Delete commands."""

    def command(self, kind: type[Command], run: str) -> None:
        """Deliver a command."""
        text = encode(kind(run, TARGET, 1, wall() + timedelta(seconds=30)))
        self.loop.deliver(Delivery(text, text[:80], wall(), monotonic_ms(), 0))

    def said(self) -> list[Reply]:
        """Run until nothing is left to do; return the replies."""
        self.loop._turn()
        return [self.replies.get_nowait() for _ in range(self.replies.qsize())]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Return a loop that turns when told to; at its end nothing is connected."""
    rig = Rig(tmp_path)
    yield rig
    rig.loop.deliver(Shutdown())
    rig.loop.run()
    assert OneFreezer.open_lines == 0
    assert not rig.world.locked
    assert not rig.world.frozen


def test_run_that_overtakes_another_goes_through(rig: Rig) -> None:
    """The first is thawed and the next prepared while the first's pre-flight still passes."""
    rig.during = [(Thaw, FIRST), (Prepare, SECOND)]
    rig.command(Prepare, FIRST)
    (prepared,) = rig.said()
    assert isinstance(prepared, Prepared), prepared
    assert prepared.run_id == SECOND
    rig.command(Freeze, SECOND)
    (frozen,) = rig.said()
    assert isinstance(frozen, Frozen), frozen
    assert rig.world.locked
    assert rig.world.frozen
    rig.command(Thaw, SECOND)
    (thawed,) = rig.said()
    assert isinstance(thawed, Thawed)
    assert (thawed.run_id, thawed.intact) == (SECOND, True)


def test_hook_of_the_first_finds_nothing_connected(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is undone of a run comes after its end, also where the next is prepared at once."""
    connected: list[int] = []
    monkeypatch.setattr(
        Hooks, "after_unlock", lambda _hooks, _pause: connected.append(OneFreezer.open_lines)
    )
    rig.during = [(Thaw, FIRST), (Prepare, SECOND)]
    rig.command(Prepare, FIRST)
    assert isinstance(rig.said()[0], Prepared)
    assert connected == [0, 0]


def test_run_that_is_thawed_early_lets_go(rig: Rig) -> None:
    """With no other run behind it, what a late pre-flight connected is closed all the same."""
    rig.during = [(Thaw, FIRST)]
    rig.command(Prepare, FIRST)
    assert rig.said() == []
    assert OneFreezer.open_lines == 0
    rig.command(Freeze, FIRST)
    assert rig.said() == [], "a command of a run that is over is ignored"


def test_conductor_that_is_gone_keeps_no_other_waiting(rig: Rig) -> None:
    """A run that is ready gives way to the next; its own freeze is refused then."""
    rig.command(Prepare, FIRST)
    assert isinstance(rig.said()[0], Prepared)
    rig.command(Prepare, SECOND)
    assert isinstance(rig.said()[0], Prepared)
    rig.command(Freeze, SECOND)
    assert isinstance(rig.said()[0], Frozen)


def test_only_its_own_run_is_abandoned(rig: Rig) -> None:
    """Whose connections they are is decided where they are, whatever comes late."""
    hold = rig.hold
    until_ms = monotonic_ms() + 60_000
    assert isinstance(hold.preflight(FIRST, until_ms, lambda _: True), PreflightPassed)
    assert isinstance(hold.preflight(SECOND, until_ms, lambda _: True), PreflightPassed)
    hold.abandon(FIRST)
    assert isinstance(hold.quiesce(SECOND, until_ms), QuiesceHeld)
    assert hold.release(SECOND).intact
    assert isinstance(hold.preflight(FIRST, until_ms, lambda _: True), PreflightPassed)
    hold.abandon(FIRST)
    assert OneFreezer.open_lines == 0
