"""What a run holds, with a freezer and a database that keep the real ones' rules."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config, load
from holdstill_agent.database import Database
from holdstill_agent.errors import (
    AlreadyFrozenError,
    FreezeFailedError,
    FreezerUnavailableError,
    HostError,
    LockFailedError,
    LockTimeoutError,
)
from holdstill_agent.freezer import Freezer, ThawReport
from holdstill_agent.hold import Hold
from holdstill_agent.preflight import Pause, Preflight
from holdstill_protocol.host_model import Failed, PreflightPassed, QuiesceHeld
from holdstill_protocol.messages import RefusalCode, ThawReason

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


class FakeFreezer(Freezer):
    """Freezes the world; the end of its line thaws it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def sync(self, until_ms: int) -> int:
        """Write the dirty pages, which takes no time here; never under the lock."""
        del until_ms
        assert not self._world.locked, "syncfs under the lock makes writers wait for the disk"
        return 0

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

    def reap(self) -> None:
        """Nothing was started."""


class FakeDatabase(Database):
    """Locks the world. A statement while frozen hangs on a real server: here it fails the test."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._open = True
        self.version = "10.11.19-MariaDB"
        self.is_mariadb = True
        self._session_id = world.session_id

    def execute(self, statement: str) -> Sequence[tuple[Any, ...]]:
        """Answer; after an error the session is closed, and with it its lock."""
        assert not self._world.frozen, f"{statement} while frozen"
        assert self._open, f"{statement} on a closed session"
        self._world.history.append(statement)
        if statement == FTWRL:
            self._world.locked = True  # MySQL keeps it even after error 1205
            if self._world.lock_error:
                self.close()
                raise self._world.lock_error
        if statement == "UNLOCK TABLES":
            self._world.locked = False
        answers: dict[str, tuple[Any, ...]] = {
            "SELECT CONNECTION_ID()": (self._world.session_id,),
            "SELECT @@GLOBAL.gtid_binlog_pos": ("0-1-7",),
            "SHOW MASTER STATUS": ("binlog.000001", 1234, "", ""),
        }
        return [answers[statement]] if statement in answers else []

    def close(self) -> None:
        """End the session."""
        self._open = False
        self._world.locked = False


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

    class PassedPreflight(Preflight):
        def run(self) -> None:
            self.volumes = ("vol-0123456789abcdef0",)
            self.freezer, self.database = FakeFreezer(world), FakeDatabase(world)

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


@pytest.mark.parametrize("report", [None, ThawReport("commanded", intact=False, held_ms=7)])
def test_doubtful_thaw_is_not_intact(hold: Hold, world: World, report: ThawReport | None) -> None:
    """A freezer that is silent, or found it thawed, never makes a consistent backup."""
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
        def __init__(self, config: Config, until_ms: int, pause: Pause) -> None:
            super().__init__(config, until_ms, pause)

        def run(self) -> None:
            self.volumes = ("vol-0123456789abcdef0",)

    hold = Hold(config, BarePreflight)
    hold.preflight(RUN, _later(), lambda _: True)
    held = hold.quiesce(RUN, _later())
    assert isinstance(held, QuiesceHeld)
    assert (held.position, held.freeze_ms, held.lock_wait_ms) == (None, 0, 0)
    assert hold.release(RUN).intact
