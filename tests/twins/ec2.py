"""EC2 in memory: it lists late, permits only what is attached, and fails as a test tells it to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from functions.domain import tags as names
from functions.domain.errors import (
    Ec2Error,
    PlanRefusedError,
    SnapshotNotListedError,
    SnapshotUnknownError,
)
from functions.domain.verdict import Verdict
from functions.domain.volumes import AttachedVolume, Coverage, PastSnapshot
from holdstill_protocol.conductor_model import Snapshot
from holdstill_protocol.messages import Position
from tests.twins.clock import TwinClock
from tests.twins.trace import Trace


@dataclass
class Made:
    """A snapshot that exists, whether or not anybody lists it."""

    snapshot: Snapshot
    tags: dict[str, str]
    made_at: datetime
    held: bool = False
    """Whether the host held still for this run from the call to its return."""


@dataclass
class TwinEc2:
    """`faults` are raised by the calls to come, one each; `loses_answers` makes the call first."""

    clock: TwinClock
    trace: Trace
    volumes: list[AttachedVolume]
    call_s: float = 0.3
    lists_after_s: float = 0
    faults: list[Exception | None] = field(default_factory=list)
    loses_answers: bool = False
    slips_in: list[str] = field(default_factory=list)
    dry_run_refusal: str | None = None
    tags_fail: bool = False
    lookups_fail: bool = False
    lookup_s: float = 0
    pending: list[PastSnapshot] = field(default_factory=list)
    held_run: Callable[[], str | None] = lambda: None
    """Returns the run for which the host holds still, at this instant."""
    made: list[Made] = field(default_factory=list)
    called_at_ms: list[int] = field(default_factory=list)
    seen_by_reconcile: list[str] = field(default_factory=list)

    def attached(self, instance: str) -> Sequence[AttachedVolume]:
        """As in the port."""
        assert instance
        return self.volumes

    def past_snapshots(self, volumes: Sequence[str]) -> Sequence[PastSnapshot]:
        """As in the port."""
        return self.pending + [
            PastSnapshot(made.snapshot.volume_id, made.made_at, pending=False)
            for made in self._listed()
            if made.snapshot.volume_id in volumes
        ]

    def open_window(
        self, coverage: Coverage, tags: Mapping[str, str], timeout_s: float
    ) -> "TwinWindow":
        """As in the port."""
        if self.dry_run_refusal is not None:
            raise PlanRefusedError(self.dry_run_refusal)
        self.trace.append("dry run")
        return TwinWindow(self, coverage, dict(tags), timeout_s)

    def snapshots_of(self, run_ids: str) -> tuple[Snapshot, ...]:
        """As in the port."""
        self.trace.append("look for snapshots")
        self.clock.sleep(self.lookup_s)
        if self.lookups_fail:
            raise Ec2Error("RequestLimitExceeded")
        self.seen_by_reconcile.append(run_ids)
        return tuple(
            made.snapshot
            for made in self._listed()
            if fnmatchcase(made.tags[names.RUN_ID], run_ids)
        )

    def tag_verdict(self, snapshots: Sequence[Snapshot], verdict: Verdict) -> None:
        """As in the port."""
        if self.tags_fail:
            raise Ec2Error("RequestLimitExceeded")
        listed = {made.snapshot.snapshot_id: made for made in self._listed()}
        for snapshot in snapshots:
            if snapshot.snapshot_id not in listed:
                raise SnapshotNotListedError(snapshot.snapshot_id)
        for snapshot in snapshots:
            listed[snapshot.snapshot_id].tags[names.VERDICT] = verdict

    def _listed(self) -> list[Made]:
        late = timedelta(seconds=self.lists_after_s)
        return [made for made in self.made if self.clock.wall() >= made.made_at + late]


@dataclass
class TwinWindow:
    """The one call."""

    ec2: TwinEc2
    coverage: Coverage
    tags: dict[str, str]
    timeout_s: float

    def snapshot(self, position: Position | None) -> tuple[Snapshot, ...]:
        """As in the port."""
        self.ec2.trace.append("call")
        self.ec2.called_at_ms.append(self.ec2.clock.now_ms)
        fault = self.ec2.faults.pop(0) if self.ec2.faults else None
        if fault is not None and not self.ec2.loses_answers:
            raise fault
        where = names.position(position)
        written = self.tags | ({} if where is None else {names.POSITION: where})
        snapshots = tuple(
            Snapshot(f"snap-{len(self.ec2.made) + number}", volume)
            for number, volume in enumerate((*self.coverage.volumes, *self.ec2.slips_in))
        )
        now, run_id = self.ec2.clock.wall(), self.tags[names.RUN_ID]
        made = [Made(snapshot, dict(written), now) for snapshot in snapshots]
        self.ec2.made += made
        held = self.ec2.held_run() == run_id
        if self.ec2.call_s > self.timeout_s:
            self.ec2.clock.sleep(self.timeout_s)
            raise SnapshotUnknownError("timed out")
        self.ec2.clock.sleep(self.ec2.call_s)
        for one in made:
            one.held = held and self.ec2.held_run() == run_id
        if fault is not None:
            raise fault
        return snapshots
