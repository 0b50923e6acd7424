"""The steps of a run as its calls show them, and what must hold of the run after a fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from functions.domain.runs import RunState
from functions.domain.verdict import Broken, Verdict
from holdstill_protocol.conductor_model import Stop
from holdstill_protocol.messages import RefusalCode
from lab.faults import fates
from lab.faults.cloud import LATER_S, FaultyCloud
from lab.faults.errors import FaultError

if TYPE_CHECKING:
    from lab.faults.wire import Rule
    from lab.faults.world import World

RUN_WITHIN_S = 20.0

SPENT = "attempts-spent"
"""Why a failed run of one attempt makes no other: every such record says so."""

BY_DEADLINE = frozenset({Broken.THAWED_BY_DEADLINE, Broken.NOT_INTACT, SPENT})
"""The host thawed by itself, and said so."""

UNHEARD = BY_DEADLINE | {Broken.NO_THAWED_REPLY}
"""The same, where its word may not have come through."""

NEVER_FROZEN = frozenset({Broken.NO_SNAPSHOT, SPENT})


def refused(code: RefusalCode) -> frozenset[str]:
    """Return the reasons of a run that the host refused."""
    return NEVER_FROZEN | {f"host-refused-{code}"}


def stopped(stop: Stop) -> frozenset[str]:
    """Return the reasons of a run that its conductor stopped."""
    return NEVER_FROZEN | {stop}


def cloud_of(world: World) -> FaultyCloud:
    """Return the world's cloud, with its wires."""
    if not isinstance(world.cloud, FaultyCloud):
        raise FaultError("this fault needs lab.faults.cloud.FaultyCloud")
    return world.cloud


def begin_calmly_later(world: World) -> FaultyCloud:
    """Return the cloud, whose wires are calm again once writers go on."""
    cloud = cloud_of(world)
    world.trial.later.callback(cloud.calm)
    return cloud


def stop_at_call(world: World) -> FaultyCloud:
    """Begin a run; return with the host frozen and CreateSnapshot waiting at its wire.

    It must go on within 0.7 s (`cloud.conductor.ec2.calm()`): then its client gives up.
    """
    cloud = begin_calmly_later(world)
    rule = cloud.conductor.ec2.meet("CreateSnapshot", fates.held)
    world.begin()
    rule.await_met()
    world.inject_now()
    return cloud


def run_until(world: World, rule: Rule) -> None:
    """Begin a run; return once its call has met the rule."""
    world.begin()
    rule.await_met()
    world.inject_now()


# --- afterwards


def next_run_is_consistent(world: World, ahead_s: float = 0.0) -> Iterator[str]:
    """Yield what is wrong with a plain run on the same target right after."""
    cloud = cloud_of(world)
    cloud.calm()
    cloud.forget_snapshots()
    run = cloud.begin(ahead_s=ahead_s)
    record = cloud.wait_ended(run, RUN_WITHIN_S) or {}
    if record.get("verdict") != Verdict.CONSISTENT:
        yield f"the next run is {record.get('verdict')}: {record.get('reasons')}"
    if lease := cloud.lease():
        yield f"the next run left a lease of {lease['owner']}"


def attempt_of(world: World) -> Mapping[str, Any]:
    """Return the judged run's one attempt, as its record has it; empty without one."""
    record = cloud_of(world).record(world.trial.runs[-1]) or {}
    attempts: list[Mapping[str, Any]] = record.get("attempts") or [{}]
    return attempts[-1]


def thawed_by(world: World, reason: str) -> Iterator[str]:
    """Yield a sentence where the record does not say that the host thawed for this reason."""
    thawed = attempt_of(world).get("thawed", {})
    if thawed.get("reason") != reason:
        yield f"the host thawed by {thawed.get('reason')}, not {reason}"


def refusal_says(world: World, words: str) -> Iterator[str]:
    """Yield a sentence where the record's refusal does not contain the words."""
    said = attempt_of(world).get("refused", {}).get("detail", "")
    if words not in said:
        yield f"the refusal says {said!r}, nothing of {words!r}"


def swept(world: World, tag: Verdict | None) -> Iterator[str]:
    """Let the sweep find the run of a dead conductor; yield what it does not tell truly.

    `tag`: the verdict tag of the snapshot that the run made, None where it made none.
    """
    cloud, run = cloud_of(world), world.trial.runs[-1]
    cloud.sweep(later_s=0)
    record = cloud.record(run) or {}
    if record.get("state") != RunState.OPEN:
        yield f"a run whose time is not over was swept: it is {record.get('state')}"
    cloud.sweep(later_s=LATER_S)
    record = cloud.record(run) or {}
    if record.get("state") != RunState.ABANDONED or "open_sk" in record:
        yield f"after the sweep the run is {record.get('state')}"
    if "verdict" in record:
        yield f"the sweep says {record['verdict']} of a run that it did not see"
    made = cloud.snapshots(run)
    if [snapshot.verdict for snapshot in made] != ([tag] if tag else []):
        yield f"the snapshots are tagged {[snapshot.verdict for snapshot in made]}, not {tag}"
    listed = [snapshot["snapshot_id"] for snapshot in record.get("snapshots", ())]
    if listed != [snapshot.id for snapshot in made]:
        yield f"the record has the snapshots {listed}, EC2 has {[it.id for it in made]}"


def later_run_is_consistent(world: World) -> Iterator[str]:
    """Yield what is wrong with the next schedule's run, once the dead one's lease has expired."""
    return next_run_is_consistent(world, LATER_S)
