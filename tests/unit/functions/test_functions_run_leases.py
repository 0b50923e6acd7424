"""One run per target: the lease of a run, taken, renewed, proven, lost and expired."""

from datetime import timedelta

import pytest

from functions.domain.errors import (
    RunFailedError,
    TableError,
)
from functions.domain.runs import RunState
from functions.domain.volumes import AttachedVolume
from tests.twins.world import TwinWorld

RUN = "recipes-db.20261125T180000Z"


def test_the_lease_is_proven_before_every_freeze() -> None:
    """Between `prepared` and `freeze` the lease is renewed, under a condition."""
    world = TwinWorld()
    world.back_up()
    assert "renew lease" in world.trace.between("receive prepared", "send freeze")


def test_a_target_whose_lease_is_alive_is_busy() -> None:
    """Another run's target is not touched, and the run ends as an error."""
    world = TwinWorld()
    world.lend("recipes-db.20261125T170000Z", for_s=60)
    with pytest.raises(RunFailedError, match="busy"):
        world.back_up()
    assert world.record["reasons"] == ("busy",)
    assert world.record["state"] == RunState.FAILED
    assert not [name for name in world.trace if name.startswith("send")]
    assert "recipes-db" in world.leases.rows, "the other's lease is the other's"


def test_the_lease_of_a_dead_run_expires() -> None:
    """A conductor that died keeps nobody out for ever."""
    world = TwinWorld()
    world.lend("recipes-db.20261125T170000Z", for_s=60)
    world.clock.sleep(61)
    world.back_up()
    assert world.verdict_tags == ["consistent"]


def test_a_run_that_lost_its_lease_does_not_freeze() -> None:
    """Whoever has the lease has the host."""
    world = TwinWorld()
    world.ec2.volumes = LeaseThief(world)
    with pytest.raises(RunFailedError, match="plan-refused"):
        world.back_up(attempts=1)
    assert world.host.frozen_count == 0


def test_a_lease_that_cannot_be_renewed_ends_the_run_with_what_was_done() -> None:
    """A table that fails between two attempts costs the second, never the record of the first."""
    world = TwinWorld()
    world.host.intact = False
    first_attempts = [None, None]  # before its prepare, and before its freeze
    world.leases.faults = [*first_attempts, TableError("InternalServerError")]
    with pytest.raises(RunFailedError, match="lease-not-renewed"):
        world.back_up()
    assert len(world.measures.attempts) == 1
    assert f"{RUN}.1" in str(world.record["attempts"])
    assert world.record["reasons"] == ("not-intact", "lease-not-renewed")
    assert "lease-not-renewed" in world.log.names


class LeaseThief(list[AttachedVolume]):
    """Volumes; while they are read, another run takes the lease."""

    def __init__(self, world: TwinWorld) -> None:
        super().__init__(world.ec2.volumes)
        self._world = world

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - as list has it
        expires_at = self._world.clock.wall() + timedelta(hours=1)
        self._world.leases.rows["recipes-db"] = ("recipes-db.20261125T170000Z", expires_at)
        return super().__iter__()
