"""A hold that cannot be had is refused, and leaves nothing locked or frozen."""

from dataclasses import replace

import pytest

from holdstill_agent.blockers import Blocker
from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config
from holdstill_agent.errors import (
    AlreadyFrozenError,
    FreezeFailedError,
    FreezerUnavailableError,
    HostError,
    LockFailedError,
    LockTimeoutError,
)
from holdstill_agent.hold import Hold
from holdstill_agent.preflight import QUIET_MS, Preflight
from holdstill_protocol.host_model import Failed
from holdstill_protocol.messages import RefusalCode
from tests.unit.hold.fake_host import FTWRL, RUN, FakeDatabase, FakeFreezer, World, later, prepared


def test_failed_preflight_connects_nothing(config: Config, world: World) -> None:
    """What was connected before a later check failed is closed again."""

    class FailedPreflight(Preflight):
        def run(self) -> None:
            self.freezer, self.database = FakeFreezer(world), FakeDatabase(world)
            self.code = RefusalCode.PREFLIGHT_FAILED

    failed = Hold(config, FailedPreflight).preflight(RUN, later(), lambda _: True)
    assert isinstance(failed, Failed)
    assert world.history == ["line ends"]


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
    failed = hold.quiesce(RUN, later())
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
    failed = hold.quiesce(RUN, later())
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


def test_lock_that_took_the_budget_freezes_nothing(config: Config, world: World) -> None:
    """An agent that was stopped while it locked does not begin another full budget."""
    hold = prepared(replace(config, budget_ms=100), world)
    world.lock_takes_ms = 150
    failed = hold.quiesce(RUN, later())
    assert isinstance(failed, Failed)
    assert failed.code is RefusalCode.FREEZE_FAILED
    assert not world.locked
    assert not any(step.startswith("freeze") for step in world.history)


def test_busy_disk_locks_nothing(hold: Hold, world: World) -> None:
    """When it does not become quiet within the conductor's patience, nobody is held."""
    world.sync_ms = [QUIET_MS]
    failed = hold.quiesce(RUN, monotonic_ms() + QUIET_MS)
    assert isinstance(failed, Failed)
    assert failed.code is RefusalCode.PREFLIGHT_FAILED
    assert "syncfs" in failed.detail
    assert FTWRL not in world.history


def test_blocked_lock_is_not_begun(config: Config, world: World) -> None:
    """On MySQL a lock that fails keeps others waiting longer than itself: so it is not tried."""
    hold = prepared(replace(config, quiet_patience_ms=0), world)
    world.blockers = (Blocker(7, "app", "Query", "User sleep", 90_000, "SELECT SLEEP(?)"),)
    failed = hold.quiesce(RUN, later())
    assert isinstance(failed, Failed)
    assert failed.code is RefusalCode.LOCK_TIMEOUT
    assert "session 7 (app): 90 s, User sleep, SELECT SLEEP(?)" in failed.detail
    assert not any(step.startswith("FLUSH") for step in world.history)


@pytest.mark.parametrize("statement", [FTWRL, "SHOW MASTER STATUS", "UNLOCK TABLES"])
def test_statement_that_hangs_does_not_keep_the_lock(
    hold: Hold, world: World, statement: str
) -> None:
    """The server would go on with it after its client is gone: the second session ends it."""
    world.hangs_on = statement
    held = hold.quiesce(RUN, later())
    if statement == "UNLOCK TABLES":
        assert not hold.release(RUN).intact
    else:
        assert isinstance(held, Failed)
    assert not world.locked
    assert not world.frozen


def test_nothing_is_locked_without_the_second_session(hold: Hold, world: World) -> None:
    """Without it, what hangs in the server would keep the lock."""
    hold._lookout = None
    assert isinstance(hold.quiesce(RUN, later()), Failed)
    assert FTWRL not in world.history


@pytest.mark.parametrize("freeze", [True, False], ids=["freeze", "lock-only"])
def test_lost_connections_are_not_taken_for_switched_off(
    config: Config, world: World, *, freeze: bool
) -> None:
    """Whatever has closed them: the run is refused, and nothing is told as held that is not."""
    hold = prepared(replace(config, freeze=freeze), world)
    hold.disconnect()
    failed = hold.quiesce(RUN, later())
    assert isinstance(failed, Failed), failed
    assert "prepare the run again" in failed.detail
    assert not world.locked
    assert not world.frozen
