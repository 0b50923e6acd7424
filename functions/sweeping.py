"""Ends the runs whose conductor died, and tells of them."""

from dataclasses import dataclass

from functions.domain.errors import AwsError
from functions.domain.runs import OverdueRun
from functions.ports import Clock, Ec2, Leases, Log, Measures, Runs


@dataclass(frozen=True, slots=True)
class Sweep:
    """One sweep. It takes no lease: a dead run's expires, a live one's is its owner's."""

    clock: Clock
    log: Log
    ec2: Ec2
    runs: Runs
    leases: Leases
    measures: Measures

    def sweep(self) -> None:
        """End every dead run; raise the first AwsError once all were tried.

        A dead run's snapshots keep the verdict they have, `unproven` where its conductor wrote
        none: their ids go into its record, for whoever looks.
        """
        errors: list[AwsError] = []
        for run in self.runs.overdue(self.clock.wall()):
            try:
                self._end(run)
            except AwsError as error:  # it is still open: the next sweep tries again
                self.log.fault("run-not-swept", run=run.run, detail=str(error))
                errors.append(error)
        if errors:
            raise errors[0]

    def _end(self, run: OverdueRun) -> None:
        now = self.clock.wall()
        if self.leases.alive(run.target, run.run, now):
            self.log.event("run-overdue-but-alive", run=run.run, deadline=run.deadline_at)
            return
        snapshots = self.ec2.snapshots_of(f"{run.run}.*")
        if not self.runs.abandon(run, now, snapshots):
            self.log.event("run-ended-meanwhile", run=run.run)
            return
        self.measures.abandoned(run.target)
        names = [snapshot.snapshot_id for snapshot in snapshots]
        self.log.fault("run-abandoned", target=run.target, run=run.run, snapshots=names)
