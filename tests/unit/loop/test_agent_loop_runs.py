"""A run in the loop: what is answered, what is held, and what ends it."""

import time

import pytest

from holdstill_protocol.host_model import Shutdown
from holdstill_protocol.messages import (
    Freeze,
    Frozen,
    Prepare,
    RefusalCode,
    Refused,
    Thaw,
    Thawed,
    ThawReason,
)
from tests.unit.loop.noted_loop import BUDGET_MS, Rig, eventually


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
