"""The sweep ends dead runs, and only those."""

from datetime import timedelta

import pytest

from functions.domain.errors import Ec2Error
from functions.domain.runs import OpenRun, RunState
from functions.sweeping import Sweep
from holdstill_protocol.conductor_model import Snapshot
from tests.twins.ec2 import Made
from tests.twins.world import TwinWorld, request

RUN = "recipes-db.20261125T180000Z"


def open_run(world: TwinWorld) -> OpenRun:
    """Open a run that its conductor will not end: its deadline is in a minute."""
    now = world.clock.wall()
    run = OpenRun(request(), "one", now, now + timedelta(minutes=1))
    assert world.runs.open(run)
    return run


def sweep(world: TwinWorld) -> None:
    """Sweep once."""
    Sweep(world.clock, world.log, world.ec2, world.runs, world.leases, world.measures).sweep()


def test_a_run_whose_conductor_died_is_ended_and_told_of() -> None:
    """Its record says abandoned, with the snapshots that it left unproven."""
    world = TwinWorld()
    open_run(world)
    left = Snapshot("snap-left", "vol-db")
    tags = {"holdstill:run-id": f"{RUN}.2", "holdstill:verdict": "unproven"}
    world.ec2.made = [Made(left, tags, world.clock.wall())]
    world.clock.sleep(61)
    sweep(world)
    assert world.record["state"] == RunState.ABANDONED
    assert world.record["snapshots"] == [left]
    assert world.verdict_tags == ["unproven"]
    assert world.measures.abandoned_targets == ["recipes-db"]
    assert world.log.names == ["run-abandoned"]


def test_a_run_within_its_deadline_is_left_alone() -> None:
    """A conductor may take all of its time."""
    world = TwinWorld()
    open_run(world)
    world.clock.sleep(59)
    sweep(world)
    assert world.record["state"] == RunState.OPEN


def test_a_run_whose_lease_is_alive_is_left_alone() -> None:
    """Whoever renews a lease is not dead, whatever a deadline says."""
    world = TwinWorld()
    open_run(world)
    world.lend(RUN, for_s=600)
    world.clock.sleep(61)
    sweep(world)
    assert world.record["state"] == RunState.OPEN
    assert world.leases.rows["recipes-db"][0] == RUN


def test_another_runs_lease_is_never_taken() -> None:
    """The dead run ends, the run that has the target now goes on."""
    world = TwinWorld()
    open_run(world)
    world.lend("recipes-db.20261125T190000Z", for_s=600)
    world.clock.sleep(61)
    sweep(world)
    assert world.record["state"] == RunState.ABANDONED
    assert world.leases.rows["recipes-db"][0] == "recipes-db.20261125T190000Z"


def test_a_run_that_ended_itself_meanwhile_keeps_its_end() -> None:
    """The index lists late: what it calls open may have ended since."""
    world = TwinWorld()
    world.back_up()
    stale = OpenRun(request(), "one", world.clock.wall(), world.clock.wall())
    late_index = TwinWorld()
    late_index.runs.open(stale)
    late_index.clock.sleep(1)
    (overdue,) = late_index.runs.overdue(late_index.clock.wall())
    assert not world.runs.abandon(overdue, world.clock.wall(), [])
    assert world.record["state"] == RunState.SUCCEEDED


def test_a_run_that_could_not_be_swept_stays_open_and_is_an_error() -> None:
    """Nothing is ended whose snapshots could not be looked for; the next sweep tries again."""
    world = TwinWorld()
    open_run(world)
    world.clock.sleep(61)
    world.ec2.lookups_fail = True
    with pytest.raises(Ec2Error):
        sweep(world)
    assert world.record["state"] == RunState.OPEN
