"""What a run holds: in which order, for how long, and what proves that it held."""

from dataclasses import replace

import pytest

from holdstill_agent.blockers import Blocker
from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config
from holdstill_agent.errors import FreezerUnavailableError, HostError
from holdstill_agent.freezer import Freezer, ThawReport
from holdstill_agent.hold import Hold
from holdstill_agent.preflight import QUIET_MS, Preflight
from holdstill_protocol.host_model import QuiesceHeld
from holdstill_protocol.messages import Lock, ThawReason
from tests.unit.hold.fake_host import FTWRL, RUN, FakeFreezer, World, later, prepared


def test_quiesce_locks_reads_the_position_and_freezes(hold: Hold, world: World) -> None:
    """In this order: the position is read under the lock, and before nothing can be read."""
    held = hold.quiesce(RUN, later())
    assert isinstance(held, QuiesceHeld)
    assert held.position is not None
    assert (held.position.file, held.position.offset) == ("binlog.000001", 1234)
    assert held.freeze_ms == 2
    assert world.locked
    assert world.frozen
    assert world.history[-1] == f"freeze {RUN}"
    assert world.history.index(FTWRL) < world.history.index("SHOW MASTER STATUS")


def test_release_thaws_before_it_unlocks(hold: Hold, world: World) -> None:
    """The thaw comes first, the unlock at once after it, then the proof; and all is let go."""
    hold.quiesce(RUN, later())
    released = hold.release(RUN)
    assert released.intact
    assert released.held_ms == 7
    assert world.history[-4:] == ["thaw", "UNLOCK TABLES", "SELECT CONNECTION_ID()", "line ends"]
    assert not world.locked
    assert not world.frozen
    assert hold.line() is None


@pytest.mark.parametrize("lock_takes_ms", [0, 150])
def test_budget_counts_from_when_the_lock_was_asked_for(
    config: Config, world: World, lock_takes_ms: int
) -> None:
    """While the lock is waited for writers stall too; the wait itself is told as it was."""
    hold = prepared(config, world)
    world.lock_takes_ms = lock_takes_ms
    asked_at_ms = monotonic_ms()
    held = hold.quiesce(RUN, later())
    assert isinstance(held, QuiesceHeld)
    assert 0 <= held.locked_at_ms - asked_at_ms < 100
    assert lock_takes_ms <= held.lock_wait_ms < lock_takes_ms + 100
    assert 0 <= world.answer_by_ms - config.budget_ms - asked_at_ms < 100
    assert hold.release(RUN).locked_ms < 100


def test_lock_waits_until_little_is_left_to_write(hold: Hold, world: World) -> None:
    """What was dirtied since the pre-flight is written before the lock, as often as it takes."""
    world.sync_ms = [900, QUIET_MS, QUIET_MS - 1]
    assert isinstance(hold.quiesce(RUN, later()), QuiesceHeld)
    assert world.history[:3] == ["sync"] * 3
    assert world.history.count("sync") == 3


def test_query_that_came_since_the_preflight_is_waited_for(hold: Hold, world: World) -> None:
    """A little patience before the lock costs nobody anything, and a refusal costs an attempt."""
    world.blockers = (Blocker(7, "app", "Query", "User sleep", 90_000, "SELECT SLEEP(?)"),)
    world.gone_after_looks = 2
    assert isinstance(hold.quiesce(RUN, later()), QuiesceHeld)


@pytest.mark.parametrize(
    "report",
    [
        None,
        ThawReport("commanded", intact=False, held_ms=7),
        ThawReport("deadline", intact=True, held_ms=7),
    ],
)
def test_doubtful_thaw_is_not_intact(hold: Hold, world: World, report: ThawReport | None) -> None:
    """A freezer that is silent, found it thawed, or did it unasked, makes nothing consistent."""
    hold.quiesce(RUN, later())
    world.thaw_report = report
    assert not hold.release(RUN).intact
    assert not world.locked
    assert not world.frozen


def test_other_session_is_not_intact(hold: Hold, world: World) -> None:
    """An UNLOCK on another session succeeds too: only the same id proves the lock."""
    hold.quiesce(RUN, later())
    world.session_id += 1
    assert not hold.release(RUN).intact


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (ThawReport("deadline", intact=True, held_ms=1), ThawReason.DEADLINE),
        (ThawReport("shutdown", intact=True, held_ms=1), ThawReason.SHUTDOWN),
        (None, ThawReason.LOST_FREEZER),
        (FreezerUnavailableError("its line has ended"), ThawReason.LOST_FREEZER),
    ],
)
def test_lost_hold_has_its_reason(
    hold: Hold,
    monkeypatch: pytest.MonkeyPatch,
    said: ThawReport | HostError | None,
    reason: ThawReason,
) -> None:
    """What the freezer says unasked is passed on; its silence is the loss of the freezer."""

    def report(_self: Freezer, _until_ms: int) -> ThawReport | None:
        if isinstance(said, HostError):
            raise said
        return said

    monkeypatch.setattr(FakeFreezer, "report", report)
    assert hold.lost(RUN).reason is reason


def test_lock_and_freeze_may_both_be_off(config: Config) -> None:
    """Without database and freezer a run goes through, and what was not held is not lost."""

    class BarePreflight(Preflight):
        def run(self) -> None:
            self.volumes = ("vol-0123456789abcdef0",)

    hold = Hold(replace(config, lock=Lock.NONE, freeze=False), BarePreflight)
    hold.preflight(RUN, later(), lambda _: True)
    held = hold.quiesce(RUN, later())
    assert isinstance(held, QuiesceHeld)
    assert (held.position, held.freeze_ms, held.lock_wait_ms) == (None, 0, 0)
    assert hold.release(RUN).intact
