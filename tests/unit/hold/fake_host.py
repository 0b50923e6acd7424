"""A host with a freezer and a database that keep the real ones' rules."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from holdstill_agent.blockers import Blocker
from holdstill_agent.clock import Pause, monotonic_ms
from holdstill_agent.config import Config
from holdstill_agent.database import Database
from holdstill_agent.errors import HostError, NoAnswerError
from holdstill_agent.freezer import Freezer, ThawReport
from holdstill_agent.hold import Hold
from holdstill_agent.lookout import Lookout
from holdstill_agent.preflight import Preflight
from holdstill_protocol.host_model import PreflightPassed

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


def prepared(config: Config, world: World) -> Hold:
    """Return a hold whose pre-flight has passed."""

    class PassedPreflight(Preflight):
        def run(self) -> None:
            self.volumes = ("vol-0123456789abcdef0",)
            self.freezer, self.database = FakeFreezer(world), FakeDatabase(world)
            self.lookout = FakeLookout(world)

    hold = Hold(config, PassedPreflight)
    passed = hold.preflight(RUN, monotonic_ms() + 1000, lambda _: True)
    assert isinstance(passed, PreflightPassed)
    return hold


def later() -> int:
    """Return a time, in milliseconds of the monotonic clock, that no test comes to."""
    return monotonic_ms() + 60_000
