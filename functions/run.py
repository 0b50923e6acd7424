"""One scheduled run: its record, its lease, its attempts."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from functions.aftermath import Aftermath
from functions.conductor import Conducted, Conductor
from functions.domain.attempts import Enough, next_attempt
from functions.domain.errors import PlanRefusedError, RunFailedError, TableError
from functions.domain.requests import BackupRequest
from functions.domain.runs import AttemptRecord, EndedRun, OpenRun
from functions.domain.verdict import judge
from functions.journal import Journal
from functions.planning import PATIENCE_S, Planner
from functions.ports import World
from holdstill_protocol.conductor_model import Attempt, Patience

RESERVE_MS: Final = 30_000
"""Kept of the function's time, after the last thaw, for verdict, record and lease."""

RECORD_MS: Final = 15_000
"""Kept of that for record and lease, less what EC2 takes to answer the last time it is asked."""

GRACE: Final = timedelta(minutes=1)
"""A run is dead when its function's time has been over for this long."""

_CALL_SLACK_MS: Final = 1_000


def patience_of(prepare_s: int, timeout_s: float) -> Patience:
    """Return a run's patience: with a prepare as its policy has it, and with the snapshot call."""
    return Patience(prepare_ms=prepare_s * 1000, call_ms=round(timeout_s * 1000) + _CALL_SLACK_MS)


def longest_ms(patience: Patience) -> int:
    """Return the longest that an attempt takes; without so much time none is begun again."""
    return (
        patience.prepare_ms
        + PATIENCE_S * 1000
        + patience.freeze_ms
        + patience.call_ms
        + patience.thaw_ms
    )


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `token` is this invocation's; `ends_at_ms` of the clock is when its process ends.

    `timeout_s` is the longest that the snapshot call may take.
    """

    world: World
    request: BackupRequest
    token: str
    timeout_s: float
    ends_at_ms: int

    def back_up(self) -> None:
        """Back the target up. Raise RunFailedError, with everything recorded, where that failed.

        A run that exists already is another invocation's: that is logged, and nothing is done.
        """
        world, request = self.world, self.request
        opened = self._opened()
        if not world.runs.open(opened):
            world.log.event("run-exists", run=request.name)
            return
        world.log.event("run-begun", run=request.name, attempts=request.attempts)
        planner = Planner(world, request, self.timeout_s)
        if planner.take_lease():
            try:
                attempts, why = self._attempts(planner)
            finally:
                planner.release_lease()
        else:
            attempts, why = (), "busy"
        self._end(EndedRun(opened, world.clock.wall(), attempts, why))

    def _opened(self) -> OpenRun:
        now = self.world.clock.wall()
        left = timedelta(milliseconds=self.ends_at_ms - self._now_ms())
        return OpenRun(self.request, self.token, now, now + left + GRACE)

    def _attempts(self, planner: Planner) -> tuple[tuple[AttemptRecord, ...], str | None]:
        """Return the attempts made, and what kept a failed run from another."""
        patience = patience_of(self.request.patience_s, self.timeout_s)
        ends_by_ms = self.ends_at_ms - RESERVE_MS
        records: tuple[AttemptRecord, ...] = ()
        while True:
            try:
                planner.renew_lease()
            except PlanRefusedError:
                return records, "lease-lost"
            except TableError as error:
                run = self.request.name
                self.world.log.fault("lease-not-renewed", run=run, detail=str(error))
                return records, "lease-not-renewed"
            began_ms = self._now_ms()
            run_id = self.request.run_id(len(records) + 1)
            attempt = Attempt(run_id, self.request.target, ends_by_ms, patience)
            record, called_ms = self._attempt(attempt, planner)
            records = (*records, record)
            if record.succeeded:
                return records, None
            decision = next_attempt(
                made=len(records),
                limit=self.request.attempts,
                last_ms=began_ms if called_ms is None else called_ms,
                now_ms=self._now_ms(),
                needed_ms=longest_ms(patience),
                ends_by_ms=ends_by_ms,
            )
            if isinstance(decision, Enough):
                return records, decision.why
            self.world.clock.sleep((decision.at_ms - self._now_ms()) / 1000)

    def _attempt(self, attempt: Attempt, planner: Planner) -> tuple[AttemptRecord, int | None]:
        """Return the attempt's record, and when it called EC2, if it did."""
        world, run_id = self.world, attempt.run_id
        started_at = world.clock.wall()
        conducted = self._conducted(attempt, planner)
        aftermath = Aftermath(world.ec2, world.clock, world.log, self.ends_at_ms - RECORD_MS)
        evidence = aftermath.reconcile(run_id, conducted.evidence)
        expected = evidence.prepared.volumes if evidence.prepared else ()
        judgement = aftermath.tag(run_id, evidence.snapshots, judge(evidence, expected))
        record = AttemptRecord(run_id, started_at, evidence, judgement, conducted.timings)
        world.measures.attempt(self.request.target, record)
        world.log.event("attempt-ended", **record.document())
        return record, conducted.called_ms

    def _conducted(self, attempt: Attempt, planner: Planner) -> Conducted:
        world = self.world
        journal = Journal(world.log, world.clock, attempt.run_id)
        plan = partial(planner.plan, attempt.run_id)
        return Conductor(attempt, world.queues, plan, world.clock, journal).conduct()

    def _end(self, ended: EndedRun) -> None:
        recorded = self.world.runs.end(ended)
        self.world.measures.run(ended)
        log, run = self.world.log, self.request.name
        if not recorded:
            log.fault("run-was-abandoned", run=run, verdict=ended.verdict)
            raise RunFailedError(f"{run}: the sweep took it for dead")
        if not ended.succeeded:
            log.fault("run-failed", run=run, verdict=ended.verdict, reasons=ended.reasons)
            raise RunFailedError(f"{run}: " + ", ".join(ended.reasons))
        log.event("run-succeeded", run=run, verdict=ended.verdict)

    def _now_ms(self) -> int:
        return self.world.clock.now_ns() // 1_000_000
