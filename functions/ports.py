"""What the conductor needs of the world. The adapters are shaped like this, and so are the twins.

Each method says what it raises; all else is a bug.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from functions.domain.deliveries import Delivery
from functions.domain.runs import AttemptRecord, EndedRun, OpenRun, OverdueRun
from functions.domain.verdict import Verdict
from functions.domain.volumes import AttachedVolume, Coverage, PastSnapshot
from holdstill_protocol.conductor_model import Snapshot
from holdstill_protocol.messages import Position


class Clock(Protocol):
    """Time. `now_ns` is monotonic, `wall` an aware UTC datetime."""

    def now_ns(self) -> int:
        """Return the monotonic clock, in nanoseconds."""

    def wall(self) -> datetime:
        """Return the wall clock."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Log(Protocol):
    """An event's name and its fields."""

    def event(self, name: str, /, **fields: object) -> None:
        """Log what happened as it should."""

    def fault(self, name: str, /, **fields: object) -> None:
        """Log what somebody should look at."""


class HostQueues(Protocol):
    """The queues between this conductor and one host. All raise QueueError."""

    def send(self, body: str) -> None:
        """Send a command."""

    def receive(self, wait_s: int) -> Sequence[Delivery]:
        """Return replies, at least once each, in any order; wait up to `wait_s` for one."""

    def delete(self, receipts: Sequence[str]) -> None:
        """Delete received replies."""


class Window(Protocol):
    """The snapshot call of one attempt: everything but the position is built, the line is warm."""

    def snapshot(self, position: Position | None) -> tuple[Snapshot, ...]:
        """Make the one call; raise SnapshotRefusedError or SnapshotUnknownError."""


class Ec2(Protocol):
    """EC2 outside the freeze window. All raise Ec2Error."""

    def attached(self, instance: str) -> Sequence[AttachedVolume]:
        """Return the volumes attached to an instance."""

    def past_snapshots(self, volumes: Sequence[str]) -> Sequence[PastSnapshot]:
        """Return the snapshots that there are of the volumes."""

    def open_window(self, coverage: Coverage, tags: Mapping[str, str], timeout_s: float) -> Window:
        """Warm the call by a dry run; raise PlanRefusedError where EC2 would not permit it."""

    def snapshots_of(self, run_ids: str) -> tuple[Snapshot, ...]:
        """Return the snapshots tagged with a run id, in which `*` stands for any characters."""

    def tag_verdict(self, snapshots: Sequence[Snapshot], verdict: Verdict) -> None:
        """Set the verdict tag; raise SnapshotNotListedError while EC2 does not know them yet."""


class Runs(Protocol):
    """The runs' records. All raise TableError."""

    def open(self, run: OpenRun) -> bool:
        """Record a run that begins; return False where its schedule's run exists already."""

    def end(self, run: EndedRun) -> bool:
        """Record how an open run ended; return False where it was abandoned meanwhile."""

    def overdue(self, now: datetime) -> Sequence[OverdueRun]:
        """Return the open runs whose deadline has passed."""

    def abandon(self, run: OverdueRun, now: datetime, snapshots: Sequence[Snapshot]) -> bool:
        """End a dead run; return False where it ended by itself meanwhile."""


class Leases(Protocol):
    """One run per target at a time. An instant says when a lease expires. All raise TableError."""

    def take(self, target: str, owner: str, now: datetime, expires_at: datetime) -> bool:
        """Take the lease; return False while another owner's is alive."""

    def renew(self, target: str, owner: str, expires_at: datetime) -> bool:
        """Put the expiry off; return False where somebody else has it."""

    def release(self, target: str, owner: str) -> bool:
        """Give the lease back; return False where somebody else has it."""

    def alive(self, target: str, owner: str, now: datetime) -> bool:
        """Return whether `owner` has the lease, not expired."""


class Measures(Protocol):
    """The metrics."""

    def attempt(self, target: str, record: AttemptRecord) -> None:
        """Measure an attempt."""

    def run(self, run: EndedRun) -> None:
        """Count a run."""

    def abandoned(self, target: str) -> None:
        """Count a run whose conductor died."""


@dataclass(frozen=True, slots=True)
class World:
    """All of it, for one run."""

    clock: Clock
    log: Log
    queues: HostQueues
    ec2: Ec2
    runs: Runs
    leases: Leases
    measures: Measures
