"""Does the run's record tell the truth? It, the tags and the very snapshots are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from functions.domain.runs import RunState
from functions.domain.verdict import Verdict

if TYPE_CHECKING:
    from lab.faults.fault import Fault
    from lab.faults.snapshots import MadeSnapshot
    from lab.faults.world import World


_ALWAYS = frozenset({"attempts-spent"})
"""What a run that failed says beside its attempt's own reasons: a trial's runs have one attempt."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a record says, and what there is."""

    run: str
    record: Mapping[str, Any] | None
    snapshots: Sequence[MadeSnapshot]

    @property
    def verdict(self) -> Verdict | None:
        """The run's verdict, None where there is no snapshot or no record."""
        text = (self.record or {}).get("verdict")
        return Verdict(text) if text else None

    @property
    def reasons(self) -> tuple[str, ...]:
        """What broke, as the record has it."""
        return tuple((self.record or {}).get("reasons", ()))

    @property
    def believed(self) -> list[MadeSnapshot]:
        """The snapshots whose tag says that they are consistent."""
        return [made for made in self.snapshots if made.verdict == Verdict.CONSISTENT]


def wrong_verdicts(world: World, fault: Fault, told: Told) -> Iterator[str]:
    """Yield why somebody would be wrong to believe the record or a tag."""
    if told.verdict not in fault.verdicts and not fault.dead_conductor:
        yield f"the record's verdict is {told.verdict}, with {told.reasons}"
    if told.verdict == Verdict.CONSISTENT and not told.believed:
        yield "the record says consistent of snapshots that are not there, or not tagged so"
    if told.believed and Verdict.CONSISTENT not in fault.verdicts:
        yield f"tagged consistent: {[made.id for made in told.believed]}"
    if told.believed:
        yield from _faults_of_the_copy(world, told.believed)


def untruths(fault: Fault, told: Told) -> Iterator[str]:
    """Yield what else in the record does not fit what happened."""
    if told.record is None:
        if not fault.dead_conductor:
            yield "there is no record"
        return
    state = told.record["state"]
    if state == RunState.OPEN and not fault.dead_conductor:
        yield "the record is still open"
    if state == RunState.SUCCEEDED and (told.reasons or told.verdict != Verdict.CONSISTENT):
        yield f"it succeeded as {told.verdict} in spite of {told.reasons}"
    if state == RunState.FAILED and not set(told.reasons) - _ALWAYS:
        yield "it failed without a reason"
    if foreign := set(told.reasons) - fault.reasons - _ALWAYS:
        yield f"its reasons are {sorted(told.reasons)}; {sorted(foreign)} did not happen"
    recorded = {
        snapshot["snapshot_id"]
        for attempt in told.record.get("attempts", ())
        for snapshot in attempt.get("snapshots", ())
    }
    if state != RunState.OPEN and recorded != {made.id for made in told.snapshots}:
        made = sorted(snapshot.id for snapshot in told.snapshots)
        yield f"it has the snapshots {sorted(recorded)}, EC2 has {made}"
    tagged = {made.verdict for made in told.snapshots}
    if state != RunState.OPEN and tagged - {told.verdict, Verdict.UNPROVEN}:
        yield f"the snapshots are tagged {sorted(tagged)}, the record says {told.verdict}"


def _faults_of_the_copy(world: World, believed: Sequence[MadeSnapshot]) -> Iterator[str]:
    """Yield what is wrong with snapshots that are called consistent."""
    by_volume = {made.volume_id: made for made in believed}
    ordered = [by_volume[volume.id] for volume in world.cloud.volumes if volume.id in by_volume]
    if len(ordered) < len(world.cloud.volumes):
        yield f"only {sorted(by_volume)} were copied"
        return
    with world.cloud.copies(ordered) as images:
        report = world.host.check(images, ordered[0].copied, ordered[0].position)
    if not report.holds:
        yield f"the copy does not hold:\n{report}"
