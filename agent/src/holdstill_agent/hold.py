"""What one run holds, and the effects on it: every method ends in an event, and never raises."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from math import ceil

from holdstill_agent import clock
from holdstill_agent.aftermath import Aftermath
from holdstill_agent.clock import Pause
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
from holdstill_agent.hooks import HookReport
from holdstill_agent.locking import Taken, take
from holdstill_agent.locks import STRATEGIES, Strategy
from holdstill_agent.lookout import Lookout
from holdstill_agent.position import read_position
from holdstill_agent.preflight import QUIET_MS, Preflight
from holdstill_agent.quiet_moment import await_quiet
from holdstill_protocol.host_model import (
    Failed,
    HoldLost,
    PreflightPassed,
    QuiesceHeld,
    Released,
)
from holdstill_protocol.messages import ThawReason

_THAW_WITHIN_MS = 1000  # it takes 0.2; then the lock is given back anyway, and the line closed

_UNLOCK_WITHIN_MS = 1000  # it takes 0.2; then the session is killed, which unlocks too

_LAST_PATIENCE_MS = 3000  # since the pre-flight a query may have come; the conductor waits for 15 s

_REASONS = {"deadline": ThawReason.DEADLINE, "shutdown": ThawReason.SHUTDOWN}


class Hold:
    """The connected freezer and database of the one run there can be, and since when they hold."""

    def __init__(
        self,
        config: Config,
        preflight: type[Preflight] = Preflight,
        note: Callable[..., None] = lambda _name, **_fields: None,
    ) -> None:
        """Note events by `note`, as the log does."""
        self._config = config
        self._note = note
        self._make_preflight = preflight
        self._strategy = STRATEGIES.get(config.lock)
        self._freezer: Freezer | None = None
        self._database: Database | None = None
        self._lookout: Lookout | None = None
        self._aftermath = Aftermath(config, note)
        self._run_id: str | None = None
        self._locked_at_ms = 0
        self._frozen_at_ms = 0

    def preflight(self, run_id: str, until_ms: int, pause: Pause) -> PreflightPassed | Failed:
        """Check the host, connect freezer and database."""
        self.disconnect()  # of a run that is over, and has not been told to
        self.tidy(pause)  # the last run's freezer must have let go of its marker
        preflight = self._make_preflight(self._config, until_ms, pause, run_id)
        preflight.run()
        self._note_killed(run_id, preflight.lookout)
        if preflight.freezer:
            self._aftermath.freezer_is_ready()
        if preflight.code:
            preflight.close()
            if preflight.freezer:
                self._aftermath.leave(preflight.freezer)
            return Failed(run_id, preflight.code, preflight.failures())
        self._run_id = run_id
        self._freezer, self._database = preflight.freezer, preflight.database
        self._lookout = preflight.lookout
        checks = (*self._aftermath.untold.values(), *preflight.checks)
        self._aftermath.untold.clear()
        return PreflightPassed(run_id, preflight.volumes, checks, clock.monotonic_ms())

    def recover(self) -> bool:
        """Undo what a crash left of frozen and stopped; return whether nothing is left of it."""
        return self._aftermath.recover()

    def undo(self, pause: Pause, *, at_once: bool = False) -> Iterator[HookReport]:
        """Undo what a run left to be undone, this process's or a dead one's. No run is prepared."""
        self.disconnect()
        yield from self._aftermath.undo(pause, at_once=at_once)

    @property
    def undo_again_at_ms(self) -> int | None:
        """When to try again what could not be undone yet."""
        return self._aftermath.again_at_ms

    def quiesce(self, run_id: str, expires_at_ms: int) -> QuiesceHeld | Failed:
        """Lock, read the position, freeze. If any of it fails, all is given back."""
        try:
            return self._quiesce(run_id, expires_at_ms)
        except HostError as error:
            self.disconnect()
            return Failed(run_id, error.code, str(error))

    def _quiesce(self, run_id: str, expires_at_ms: int) -> QuiesceHeld:
        # What is configured but not connected is never taken for what is switched off: nothing
        # would be held, yet told as held.
        if self._config.freeze and self._freezer is None:
            raise FreezeFailedError("the freezer is no longer connected: prepare the run again")
        if self._strategy and self._database is None:
            raise LockFailedError("the database is no longer connected: prepare the run again")
        if self._freezer:
            _settle(self._freezer, expires_at_ms)
        position = None
        asked_at_ms = self._locked_at_ms = clock.monotonic_ms()
        if self._database and self._strategy:
            taken = self._lock(run_id, self._database, self._strategy, expires_at_ms)
            asked_at_ms, self._locked_at_ms = taken.asked_at_ms, taken.locked_at_ms
            self._database.answer_by(asked_at_ms + self._config.budget_ms)
            position = read_position(self._database)
            self._end_in_time(self._database, asked_at_ms + self._config.budget_ms)
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

    def _lock(
        self, run_id: str, database: Database, strategy: Strategy, expires_at_ms: int
    ) -> Taken:
        """Wait for a quiet moment once more, then lock."""
        if self._lookout is None:  # without it a statement that hangs would keep the lock
            raise LockFailedError("no second session: prepare again")
        wait_ms = self._config.lock_wait_timeout_s * 1000
        left_ms = expires_at_ms - clock.monotonic_ms() - wait_ms
        patience_ms = max(0, min(_LAST_PATIENCE_MS, self._config.quiet_patience_ms, left_ms))
        kill_older_than_s = self._config.kill_queries_older_than_s
        try:
            await_quiet(self._lookout, kill_older_than_s, patience_ms, _sleep)
            database.end_when_idle(ceil(self._config.budget_ms / 1000))
            return take(database, self._lookout, strategy, wait_ms, kill_older_than_s)
        finally:
            self._note_killed(run_id, self._lookout)

    def _end_in_time(self, database: Database, until_ms: int) -> None:
        """Let the server end the lock of an agent that is stopped, less than a second too late.

        The time counts from the last statement; what the lock was waited for is gone of it.
        """
        left_s = ceil((until_ms - clock.monotonic_ms()) / 1000)
        if 0 < left_s < ceil(self._config.budget_ms / 1000):
            database.end_when_idle(left_s)

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

    def abandon(self, run_id: str) -> None:
        """Disconnect this run; what another has connected, which has overtaken it, stays."""
        if run_id == self._run_id:
            self.disconnect()

    def disconnect(self) -> None:
        """End the freezer's line, which thaws, then the database's session, which unlocks."""
        if self._freezer:
            self._freezer.close()
        if self._database:
            self._database.close()
        if self._lookout:  # whatever that session still does, it does not keep the lock
            self._lookout.end_watched()
            self._lookout.close()
        if self._freezer:
            self._aftermath.leave(self._freezer)
        self._run_id = self._freezer = self._database = self._lookout = None

    def tidy(self, pause: Pause = lambda _: True) -> None:
        """Wait until ended freezers are gone, or their guards have thawed. Not while one holds."""
        self._aftermath.tidy(pause)

    def _note_killed(self, run_id: str, lookout: Lookout | None) -> None:
        while lookout and lookout.killed:
            self._note("query-killed", run_id=run_id, **asdict(lookout.killed.pop(0)))


def _settle(freezer: Freezer, expires_at_ms: int) -> None:
    """Write what was dirtied since the pre-flight: a freeze would do it under the lock."""
    while (took_ms := freezer.sync(expires_at_ms)) >= QUIET_MS:
        if clock.monotonic_ms() + took_ms >= expires_at_ms:
            raise CheckFailedError(
                f"quiet: syncfs takes {took_ms} ms again since the pre-flight; nothing was locked"
            )


def _sleep(pause_s: float) -> bool:
    time.sleep(pause_s)
    return True
