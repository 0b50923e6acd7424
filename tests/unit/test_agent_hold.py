"""What a run holds, with a freezer and a database that keep the real ones' rules."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdstill_agent.blockers import Blocker
from holdstill_agent.clock import Pause, monotonic_ms
from holdstill_agent.config import Config, load
from holdstill_agent.database import Database
from holdstill_agent.errors import (
    AlreadyFrozenError,
    FreezeFailedError,
    FreezerUnavailableError,
    HostError,
    LockFailedError,
    LockTimeoutError,
    NoAnswerError,
)
from holdstill_agent.freezer import Freezer, ThawReport
from holdstill_agent.hold import Hold
from holdstill_agent.lookout import Lookout
from holdstill_agent.preflight import QUIET_MS, Preflight
from holdstill_protocol.host_model import Failed, PreflightPassed, QuiesceHeld
from holdstill_protocol.messages import Lock, RefusalCode, ThawReason

RUN = "recipes-db.20300101T000000Z.1"
FTWRL = "FLUSH LOCAL TABLES WITH READ LOCK"


class World:
    """One host: what is locked and frozen, and what shall go wrong."""

    def __init__(self) -> None:
        self.locked = False
        self.frozen = False
        self.history: list[str] = []
        self.lock_error: HostError | None = None
        self.freeze_error: HostError | None = None
        self.frozen_though = False
        self.thaw_report: ThawReport | None = ThawReport("commanded", intact=True, held_ms=7)
        self.session_id = 42
        self.lock_takes_ms = 0
        self.answer_by_ms = 0
        self.sync_ms = [0]
        self.blockers: tuple[Blocker, ...] = ()
        self.gone_after_looks: int | None = None
        self.hangs_on = ""


class FakeFreezer(Freezer):
    """Freezes the world; the end of its line thaws it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def sync(self, until_ms: int, is_wanted: Callable[[], bool] = lambda: True) -> int:
        """Write the dirty pages, as fast as the world says; never under the lock."""
        del until_ms
        assert is_wanted()
        assert not self._world.locked, "syncfs under the lock makes writers wait for the disk"
        self._world.history.append("sync")
        took_ms, *following = self._world.sync_ms
        self._world.sync_ms = following or [took_ms]
        return took_ms

    def freeze(self, run_id: str, until_ms: int) -> int:
        """Freeze, or fail as told; `frozen_though` is the answer that got lost."""
        assert until_ms > monotonic_ms()
        self._world.history.append(f"freeze {run_id}")
        self._world.frozen = self._world.freeze_error is None or self._world.frozen_though
        if self._world.freeze_error:
            raise self._world.freeze_error
        return 1600

    def thaw(self, until_ms: int) -> ThawReport | None:
        """Thaw if it answers at all."""
        assert until_ms > monotonic_ms()
        if self._world.thaw_report:
            self._world.history.append("thaw")
            self._world.frozen = False
        return self._world.thaw_report

    def close(self) -> None:
        """End the line."""
        self._world.history.append("line ends")
        self._world.frozen = False

    def reap(self, pause: Pause = lambda _: True) -> bool:
        """Nothing was started."""
        assert pause(0)
        return True


class FakeDatabase(Database):
    """Locks the world. A statement while frozen hangs on a real server: here it fails the test."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._open = True
        self.version = "10.11.19-MariaDB"
        self.is_mariadb = True
        self._session_id = world.session_id
        self.replicates = False

    def execute(self, statement: str) -> Sequence[tuple[Any, ...]]:
        """Answer; after an error the session is closed, and with it its lock."""
        assert not self._world.frozen, f"{statement} while frozen"
        assert self._open, f"{statement} on a closed session"
        self._world.history.append(statement)
        if self._world.locked:
            assert self._world.answer_by_ms, f"{statement} may take for ever, under the lock"
        if statement == FTWRL:
            time.sleep(self._world.lock_takes_ms / 1000)
            self._world.locked = True  # MySQL keeps it even after error 1205
            if self._world.lock_error:
                self.close()
                raise self._world.lock_error
        if statement == self._world.hangs_on:  # the server goes on with it, lock and all
            self._open = False
            raise NoAnswerError(f"{statement}: no answer in time")
        if statement == "UNLOCK TABLES":
            self._world.locked = False
        answers: dict[str, tuple[Any, ...]] = {
            "SELECT CONNECTION_ID()": (self._world.session_id,),
            "SELECT @@GLOBAL.gtid_binlog_pos": ("0-1-7",),
            "SHOW MASTER STATUS": ("binlog.000001", 1234, "", ""),
        }
        return [answers[statement]] if statement in answers else []

    def answer_by(self, until_ms: int) -> None:
        """Note it."""
        self._world.answer_by_ms = until_ms

    def close(self) -> None:
        """End the session; a statement that hangs keeps the lock nevertheless."""
        self._world.locked = self._world.locked and not self._open
        self._open = False


class FakeLookout(Lookout):
    """Sees the world's blockers, and ends the session that locks."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.killed = []

    def look(self, within_ms: int = 1000) -> tuple[Blocker, ...]:
        """Look."""
        assert within_ms <= 1000
        if self._world.gone_after_looks is not None:
            self._world.gone_after_looks -= 1
            if self._world.gone_after_looks < 0:
                return ()
        return self._world.blockers

    def end_watched(self) -> None:
        """End the session whatever it does."""
        self._world.locked = False

    def close(self) -> None:
        """Nothing was opened."""


@pytest.fixture
def config() -> Config:
    """Return the example's configuration."""
    return load(Path(__file__).parents[2] / "agent" / "agent.example.toml")


@pytest.fixture
def world() -> World:
    """Return a host on which nothing is held."""
    return World()


@pytest.fixture
def hold(config: Config, world: World) -> Hold:
    """Return a hold whose pre-flight has passed."""
    return _prepared(config, world)


def _prepared(config: Config, world: World) -> Hold:
    class PassedPreflight(Preflight):
        def run(self) -> None:
            self.volumes = ("vol-0123456789abcdef0",)
            self.freezer, self.database = FakeFreezer(world), FakeDatabase(world)
            self.lookout = FakeLookout(world)

    hold = Hold(config, PassedPreflight)
    passed = hold.preflight(RUN, monotonic_ms() + 1000, lambda _: True)
    assert isinstance(passed, PreflightPassed)
    return hold


def _later() -> int:
    return monotonic_ms() + 60_000


def test_quiesce_locks_reads_the_position_and_freezes(hold: Hold, world: World) -> None:
    """In this order: the position is read under the lock, and before nothing can be read."""
    held = hold.quiesce(RUN, _later())
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
    hold.quiesce(RUN, _later())
    released = hold.release(RUN)
    assert released.intact
    assert released.held_ms == 7
    assert world.history[-4:] == ["thaw", "UNLOCK TABLES", "SELECT CONNECTION_ID()", "line ends"]
    assert not world.locked
    assert not world.frozen
    assert hold.line() is None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LockTimeoutError("waited"), RefusalCode.LOCK_TIMEOUT),
        (LockFailedError("denied"), RefusalCode.LOCK_FAILED),
    ],
)
def test_failed_lock_leaves_nothing(
    hold: Hold, world: World, error: HostError, code: RefusalCode
) -> None:
    """After any error of the lock the session is closed: on MySQL the lock may be held."""
    world.lock_error = error
    failed = hold.quiesce(RUN, _later())
    assert isinstance(failed, Failed)
    assert failed.code is code
    assert not world.locked
    assert not any(step.startswith("freeze") for step in world.history)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AlreadyFrozenError("by somebody"), RefusalCode.ALREADY_FROZEN),
        (FreezeFailedError("Input/output error"), RefusalCode.FREEZE_FAILED),
        (FreezerUnavailableError("its line has ended"), RefusalCode.FREEZER_UNAVAILABLE),
    ],
)
@pytest.mark.parametrize("frozen_though", [False, True])
def test_failed_freeze_leaves_nothing(
    hold: Hold, world: World, error: HostError, code: RefusalCode, frozen_though: bool
) -> None:
    """Also where it froze and only its answer was lost: the line's end thaws, then unlocks."""
    world.freeze_error, world.frozen_though = error, frozen_though
    failed = hold.quiesce(RUN, _later())
    assert isinstance(failed, Failed)
    assert failed.code is code
    assert not world.locked
    assert not world.frozen


def test_late_lock_freezes_nothing(hold: Hold, world: World) -> None:
    """When the lock took longer than the conductor waits, nobody would use the freeze."""
    failed = hold.quiesce(RUN, monotonic_ms())
    assert isinstance(failed, Failed)
    assert failed.code is RefusalCode.EXPIRED
    assert not world.locked
    assert not any(step.startswith("freeze") for step in world.history)


@pytest.mark.parametrize("lock_takes_ms", [0, 150])
def test_budget_counts_from_when_the_lock_was_asked_for(
    config: Config, world: World, lock_takes_ms: int
) -> None:
    """While the lock is waited for writers stall too; the wait itself is told as it was."""
    hold = _prepared(config, world)
    world.lock_takes_ms = lock_takes_ms
    asked_at_ms = monotonic_ms()
    held = hold.quiesce(RUN, _later())
    assert isinstance(held, QuiesceHeld)
    assert 0 <= held.locked_at_ms - asked_at_ms < 100
    assert lock_takes_ms <= held.lock_wait_ms < lock_takes_ms + 100
    assert 0 <= world.answer_by_ms - config.budget_ms - asked_at_ms < 100
    assert hold.release(RUN).locked_ms < 100


def test_lock_that_took_the_budget_freezes_nothing(config: Config, world: World) -> None:
    """An agent that was stopped while it locked does not begin another full budget."""
    hold = _prepared(replace(config, budget_ms=100), world)
    world.lock_takes_ms = 150
    failed = hold.quiesce(RUN, _later())
    assert isinstance(failed, Failed)
    assert failed.code is RefusalCode.FREEZE_FAILED
    assert not world.locked
    assert not any(step.startswith("freeze") for step in world.history)


def test_lock_waits_until_little_is_left_to_write(hold: Hold, world: World) -> None:
    """What was dirtied since the pre-flight is written before the lock, as often as it takes."""
    world.sync_ms = [900, QUIET_MS, QUIET_MS - 1]
    assert isinstance(hold.quiesce(RUN, _later()), QuiesceHeld)
    assert world.history[:3] == ["sync"] * 3
    assert world.history.count("sync") == 3


def test_busy_disk_locks_nothing(hold: Hold, world: World) -> None:
    """When it does not become quiet within the conductor's patience, nobody is held."""
    world.sync_ms = [QUIET_MS]
    failed = hold.quiesce(RUN, monotonic_ms() + QUIET_MS)
    assert isinstance(failed, Failed)
    assert failed.code is RefusalCode.PREFLIGHT_FAILED
    assert "syncfs" in failed.detail
    assert FTWRL not in world.history


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
    hold.quiesce(RUN, _later())
    world.thaw_report = report
    assert not hold.release(RUN).intact
    assert not world.locked
    assert not world.frozen


def test_other_session_is_not_intact(hold: Hold, world: World) -> None:
    """An UNLOCK on another session succeeds too: only the same id proves the lock."""
    hold.quiesce(RUN, _later())
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


def test_failed_preflight_connects_nothing(config: Config, world: World) -> None:
    """What was connected before a later check failed is closed again."""

    class FailedPreflight(Preflight):
        def run(self) -> None:
            self.freezer, self.database = FakeFreezer(world), FakeDatabase(world)
            self.code = RefusalCode.PREFLIGHT_FAILED

    failed = Hold(config, FailedPreflight).preflight(RUN, _later(), lambda _: True)
    assert isinstance(failed, Failed)
    assert world.history == ["line ends"]


def test_lock_and_freeze_may_both_be_off(config: Config) -> None:
    """Without database and freezer a run goes through, and what was not held is not lost."""

    class BarePreflight(Preflight):
        def run(self) -> None:
            self.volumes = ("vol-0123456789abcdef0",)

    hold = Hold(replace(config, lock=Lock.NONE, freeze=False), BarePreflight)
    hold.preflight(RUN, _later(), lambda _: True)
    held = hold.quiesce(RUN, _later())
    assert isinstance(held, QuiesceHeld)
    assert (held.position, held.freeze_ms, held.lock_wait_ms) == (None, 0, 0)
    assert hold.release(RUN).intact


def test_blocked_lock_is_not_begun(config: Config, world: World) -> None:
    """On MySQL a lock that fails keeps others waiting longer than itself: so it is not tried."""
    hold = _prepared(replace(config, quiet_patience_ms=0), world)
    world.blockers = (Blocker(7, "app", "Query", "User sleep", 90_000, "SELECT SLEEP(?)"),)
    failed = hold.quiesce(RUN, _later())
    assert isinstance(failed, Failed)
    assert failed.code is RefusalCode.LOCK_TIMEOUT
    assert "session 7 (app): 90 s, User sleep, SELECT SLEEP(?)" in failed.detail
    assert not any(step.startswith("FLUSH") for step in world.history)


def test_query_that_came_since_the_preflight_is_waited_for(hold: Hold, world: World) -> None:
    """A little patience before the lock costs nobody anything, and a refusal costs an attempt."""
    world.blockers = (Blocker(7, "app", "Query", "User sleep", 90_000, "SELECT SLEEP(?)"),)
    world.gone_after_looks = 2
    assert isinstance(hold.quiesce(RUN, _later()), QuiesceHeld)


@pytest.mark.parametrize("statement", [FTWRL, "SHOW MASTER STATUS", "UNLOCK TABLES"])
def test_statement_that_hangs_does_not_keep_the_lock(
    hold: Hold, world: World, statement: str
) -> None:
    """The server would go on with it after its client is gone: the second session ends it."""
    world.hangs_on = statement
    held = hold.quiesce(RUN, _later())
    if statement == "UNLOCK TABLES":
        assert not hold.release(RUN).intact
    else:
        assert isinstance(held, Failed)
    assert not world.locked
    assert not world.frozen


def test_nothing_is_locked_without_the_second_session(hold: Hold, world: World) -> None:
    """Without it, what hangs in the server would keep the lock."""
    hold._lookout = None
    assert isinstance(hold.quiesce(RUN, _later()), Failed)
    assert FTWRL not in world.history


@pytest.mark.parametrize("freeze", [True, False], ids=["freeze", "lock-only"])
def test_lost_connections_are_not_taken_for_switched_off(
    config: Config, world: World, *, freeze: bool
) -> None:
    """Whatever has closed them: the run is refused, and nothing is told as held that is not."""
    hold = _prepared(replace(config, freeze=freeze), world)
    hold.disconnect()
    failed = hold.quiesce(RUN, _later())
    assert isinstance(failed, Failed), failed
    assert "prepare the run again" in failed.detail
    assert not world.locked
    assert not world.frozen
