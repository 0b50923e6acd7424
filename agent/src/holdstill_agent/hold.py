"""What one run holds, and the effects on it: every method ends in an event, and never raises."""

from math import ceil

from holdstill_agent import clock
from holdstill_agent.config import Config
from holdstill_agent.database import Database
from holdstill_agent.errors import (
    CheckFailedError,
    ExpiredError,
    FreezeFailedError,
    FreezerUnavailableError,
    HostError,
    LockFailedError,
)
from holdstill_agent.freezer import Freezer, ThawReport
from holdstill_agent.locks import STRATEGIES
from holdstill_agent.position import read_position
from holdstill_agent.preflight import QUIET_MS, Pause, Preflight
from holdstill_protocol.host_model import (
    Failed,
    HoldLost,
    PreflightPassed,
    QuiesceHeld,
    Released,
)
from holdstill_protocol.messages import ThawReason

_THAW_WITHIN_MS = 1000  # it takes 0.2; then the lock is given back anyway, and the line closed

_UNLOCK_WITHIN_MS = 5000  # then the session is closed, which unlocks too

_LOCK_OUTLIVES_S = 1  # the budget, where only the server can end the lock of a stopped agent

_REASONS = {"deadline": ThawReason.DEADLINE, "shutdown": ThawReason.SHUTDOWN}


class Hold:
    """The connected freezer and database of the one run there can be, and since when they hold."""

    def __init__(self, config: Config, preflight: type[Preflight] = Preflight) -> None:
        self._config = config
        self._make_preflight = preflight
        self._strategy = STRATEGIES.get(config.lock)
        self._freezer: Freezer | None = None
        self._database: Database | None = None
        self._ended: list[Freezer] = []
        self._locked_at_ms = 0
        self._frozen_at_ms = 0

    def preflight(self, run_id: str, until_ms: int, pause: Pause) -> PreflightPassed | Failed:
        """Check the host, connect freezer and database."""
        self.tidy()  # the last run's freezer must have let go of its marker
        preflight = self._make_preflight(self._config, until_ms, pause)
        preflight.run()
        if preflight.code:
            preflight.close()
            self._end(preflight.freezer)
            return Failed(run_id, preflight.code, preflight.failures())
        self._freezer, self._database = preflight.freezer, preflight.database
        checks = tuple(preflight.checks)
        return PreflightPassed(run_id, preflight.volumes, checks, clock.monotonic_ms())

    def quiesce(self, run_id: str, expires_at_ms: int) -> QuiesceHeld | Failed:
        """Lock, read the position, freeze. If any of it fails, all is given back."""
        try:
            return self._quiesce(run_id, expires_at_ms)
        except HostError as error:
            self.disconnect()
            return Failed(run_id, error.code, str(error))

    def _quiesce(self, run_id: str, expires_at_ms: int) -> QuiesceHeld:
        if self._freezer:
            _settle(self._freezer, expires_at_ms)
        position = None
        asked_at_ms = self._locked_at_ms = clock.monotonic_ms()
        if self._database and self._strategy:
            self._database.end_when_idle(ceil(self._config.budget_ms / 1000) + _LOCK_OUTLIVES_S)
            for statement in self._strategy.ease:
                self._database.execute(statement)
            asked_at_ms = clock.monotonic_ms()
            # The server's own lock_wait_timeout comes first, and says what it waited for.
            lock_wait_ms = self._config.lock_wait_timeout_s * 1000
            self._database.answer_by(asked_at_ms + lock_wait_ms + self._config.budget_ms)
            for statement in self._strategy.take:
                self._database.execute(statement)
            self._locked_at_ms = clock.monotonic_ms()
            self._database.answer_by(asked_at_ms + self._config.budget_ms)
            position = read_position(self._database)
        # Writers stall from the moment the lock is asked for: from there the budget counts.
        until_ms = asked_at_ms + self._config.budget_ms
        now_ms = clock.monotonic_ms()
        if now_ms >= expires_at_ms:
            raise ExpiredError("the lock came too late: the conductor has given up waiting")
        if now_ms >= until_ms:
            raise FreezeFailedError("the lock came too late: it took all of freeze.budget_s")
        freeze_us = self._freezer.freeze(run_id, until_ms) if self._freezer else 0
        self._frozen_at_ms = clock.monotonic_ms()
        lock_wait_ms = self._locked_at_ms - asked_at_ms
        return QuiesceHeld(run_id, asked_at_ms, lock_wait_ms, round(freeze_us / 1000), position)

    def release(self, run_id: str) -> Released:
        """Thaw, unlock, prove, disconnect. Nothing here can keep the lock."""
        report = self._thaw()
        held_ms = report.held_ms if report else clock.monotonic_ms() - self._frozen_at_ms
        same_session = self._unlock()
        locked_ms = clock.monotonic_ms() - self._locked_at_ms
        # One that thawed by itself did so before it was told to: something came in between.
        thawed_when_told = report is not None and report.intact and report.reason == "commanded"
        intact = same_session and thawed_when_told
        self.disconnect()
        return Released(run_id, intact, held_ms, locked_ms)

    def _thaw(self) -> ThawReport | None:
        if self._freezer is None:
            return ThawReport("commanded", intact=True, held_ms=0)
        report = self._freezer.thaw(clock.monotonic_ms() + _THAW_WITHIN_MS)
        if report is None:  # the end of its line thaws too, and the guard if that does not
            self._freezer.close()
        return report

    def _unlock(self) -> bool:
        """Give the lock back; return whether it was held until now.

        The id is asked after the unlock, which need not wait for it: the session that connected,
        locked and is still the same held its lock until it gave it back itself.
        """
        if self._database is None or self._strategy is None:
            return True
        self._database.answer_by(clock.monotonic_ms() + _UNLOCK_WITHIN_MS)
        try:
            self._database.execute(self._strategy.give_back)
        except LockFailedError:
            return False
        return self._database.is_same_session()

    def line(self) -> int | None:
        """Return the descriptor that becomes readable when the freeze is lost."""
        return self._freezer.fileno() if self._freezer else None

    def lost(self, run_id: str) -> HoldLost:
        """Read why the freezer spoke unasked."""
        try:
            report = self._freezer.report(clock.monotonic_ms()) if self._freezer else None
        except FreezerUnavailableError:
            report = None
        reason = _REASONS.get(report.reason) if report else None
        return HoldLost(run_id, reason or ThawReason.LOST_FREEZER)

    def disconnect(self) -> None:
        """End the freezer's line, which thaws, then the database's session, which unlocks."""
        if self._freezer:
            self._freezer.close()
        if self._database:
            self._database.close()
        self._end(self._freezer)
        self._freezer = self._database = None

    def tidy(self) -> None:
        """Wait until ended freezers are gone. Not while anything is held."""
        while self._ended:
            self._ended.pop().reap()

    def _end(self, freezer: Freezer | None) -> None:
        if freezer:
            self._ended.append(freezer)


def _settle(freezer: Freezer, expires_at_ms: int) -> None:
    """Write what was dirtied since the pre-flight: a freeze would do it under the lock."""
    while (took_ms := freezer.sync(expires_at_ms)) >= QUIET_MS:
        if clock.monotonic_ms() + took_ms >= expires_at_ms:
            raise CheckFailedError(
                f"quiet: syncfs takes {took_ms} ms again since the pre-flight; nothing was locked"
            )
