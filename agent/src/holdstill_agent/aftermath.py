"""What a run, or a crash, has left to be undone: freezes, stopped replication, `after_unlock`.

All of it while nothing is held by this process; and nothing runs `after_unlock` while a filesystem
may still be frozen, by a freezer that hangs or one that is dead.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict

from holdstill_agent.clock import Pause, monotonic_ms
from holdstill_agent.config import Config
from holdstill_agent.errors import FreezerUnavailableError
from holdstill_agent.freezer import Freezer, recover
from holdstill_agent.hooks import HookReport, Hooks
from holdstill_agent.replication import Replication
from holdstill_agent.unfinished import Unfinished
from holdstill_protocol.messages import Check

_AGAIN_MS = 5000  # what could not be undone yet, as the server is down
_RECOVER_AGAIN_MS = 300_000  # at most: from 5 s on, each time twice as long; it starts a process


class Aftermath:
    """What is still to be undone. `untold`: what of it failed, by name, for the next run's report.

    `again_at_ms`: when to try again what could not be undone yet.
    """

    def __init__(self, config: Config, note: Callable[..., None]) -> None:
        """Note events by `note`, as the log does."""
        self._config = config
        self._note = note
        self._hooks = Hooks(config, Unfinished(config.state_dir))
        self._replication = Replication(config)
        self._ended: list[Freezer] = []
        self._unthawed = False
        self._recover_at_ms = self._recover_again_ms = 0
        self._resume_at_ms = 0
        self.again_at_ms: int | None = None
        self.untold: dict[str, Check] = {}

    def leave(self, freezer: Freezer) -> None:
        """Leave a freezer whose line was closed."""
        self._ended.append(freezer)

    def tidy(self, pause: Pause) -> None:
        """Wait until the freezers that were left are gone, or their guards have thawed."""
        while self._ended:
            if not self._ended.pop().reap(pause):  # killed with its guard, or both hang
                self._unthawed = True

    def recover(self) -> bool:
        """Thaw what a crash left frozen, start what it stopped; return whether nothing is left.

        Until the first has succeeded, `undo` tries it again and runs no `after_unlock`.
        """
        self._unthawed = self._config.freeze
        if self._unthawed:
            self._thaw()
        return self._resume() and not self._unthawed

    def freezer_is_ready(self) -> None:
        """Note it: a freezer thaws what a dead one left before it says so."""
        self._unthawed = False
        self._recover_again_ms = 0

    def undo(self, pause: Pause, *, at_once: bool) -> Iterator[HookReport]:
        """Undo it; a failure costs no run: its own has been judged, and the next one is told.

        `at_once`: do not wait for the time at which to try again.
        """
        self.tidy(pause)
        if self._unthawed and (at_once or monotonic_ms() >= self._recover_at_ms):
            self._thaw()
            pause(0)
        self.again_at_ms = self._recover_at_ms if self._unthawed else None
        if at_once or monotonic_ms() >= self._resume_at_ms:
            self._resume_at_ms = 0 if self._resume() else monotonic_ms() + _AGAIN_MS
        if self._resume_at_ms:
            self.again_at_ms = min(self.again_at_ms or self._resume_at_ms, self._resume_at_ms)
        if self._unthawed:
            return
        if report := self._hooks.after_unlock(pause):
            if report.failure:
                detail = f"after run {report.run_id}: {report.failure}"
                self.untold["after_unlock"] = Check("after_unlock", passed=False, detail=detail)
            yield report

    def _thaw(self) -> None:
        """Have a freezer thaw what a dead one left: this process has no privilege for it."""
        try:
            recover(self._config)
        except FreezerUnavailableError as error:
            self._note("freezer-unavailable", error=str(error))
            if error.recovered:  # what it refuses is the next freeze
                self.freezer_is_ready()
                return
            longer_ms = max(_AGAIN_MS, 2 * self._recover_again_ms)
            self._recover_again_ms = min(longer_ms, _RECOVER_AGAIN_MS)
            self._recover_at_ms = monotonic_ms() + self._recover_again_ms
        else:
            self.freezer_is_ready()

    def _resume(self) -> bool:
        """Start what was stopped of a replica; return whether nothing is left to start."""
        started = self._replication.resume()
        if started is None:
            return True
        self._note("replication-started", **asdict(started))
        if started.failure:
            detail = f"after run {started.run_id}: {started.failure}"
            self.untold["replication"] = Check("replication", passed=False, detail=detail)
        return started.failure is None
