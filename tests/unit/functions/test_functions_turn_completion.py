"""An invalidation that is never seen to complete is looked at ever more seldom, and has an end."""

from dataclasses import replace
from datetime import timedelta

import pytest

from functions.domain.invalidation_record import Record
from functions.domain.sites import Sites
from lab.edge.controls import Fault
from tests.twins.upload_world import TwinUploadWorld, site

BUCKET = "shop-bucket"
DAY_S = 86_400


@pytest.fixture
def world() -> TwinUploadWorld:
    """Return a world whose one invalidation is made, and does not complete."""
    world = TwinUploadWorld(Sites.of([site()]))
    world.cloudfront.controls = world.cloudfront.controls.changed({"completion_s": 1e9})
    world.come(BUCKET, "a.png")
    world.clock.sleep(5)
    assert len(world.cloudfront.made("E1")) == 1
    return world


def record_of(world: TwinUploadWorld) -> Record:
    """Return the one record."""
    (record,) = world.table.records.values()
    return record


def looks(world: TwinUploadWorld) -> int:
    """Return how often CloudFront was asked what has completed."""
    return world.cloudfront.calls["ListInvalidations"]


def test_what_never_completes_is_given_up_after_a_day(world: TwinUploadWorld) -> None:
    """With a fault in the log, and without a completion or a time to it that nobody has seen."""
    world.run(at_most_s=DAY_S + 1_000)
    world.check()
    record = record_of(world)
    assert record.completed_at is None
    assert record.given_up_at is not None
    age = record.given_up_at - record.stored_at
    assert timedelta(seconds=DAY_S) <= age < timedelta(seconds=DAY_S + 1_000)
    assert record.why == "CloudFront was not seen to complete it within 24 h"
    assert world.log.names.count("completion-given-up") == 1
    assert world.measures.lives == []
    assert looks(world) < 300


def test_a_distribution_that_was_deleted_is_given_up_at_once(world: TwinUploadWorld) -> None:
    """Nothing of it is in progress; it is not looked at again."""
    world.cloudfront.gone.add("E1")
    world.run(at_most_s=30)
    record = record_of(world)
    assert (record.completed_at, record.why) == (
        None,
        "CloudFront has no such distribution any more",
    )
    assert record.given_up_at is not None
    assert world.measures.lives == []
    assert looks(world) == 1


def test_what_waits_behind_refusals_keeps_nothing_from_being_looked_at(
    world: TwinUploadWorld,
) -> None:
    """A row for a distribution that is gone waits as long as the configuration names it."""
    world.cloudfront.gone.add("E1")
    world.come(BUCKET, "b.png")
    world.clock.sleep(60)
    assert world.table.waiting["E1"]
    (made,) = (one for one in world.table.records.values() if one.invalidation_id)
    assert made.given_up_at is not None


def test_a_completion_is_seen_in_time_while_the_next_upload_is_refused() -> None:
    """How long an upload took is no matter of the one after it."""
    world = TwinUploadWorld(Sites.of([site()]))
    world.come(BUCKET, "a.png")
    world.clock.sleep(3)
    world.cloudfront.inject(*[Fault.TOO_MANY] * 8)
    world.come(BUCKET, "b.png")
    world.run()
    world.check()
    assert min(live_s for _, _, live_s in world.measures.lives) < 25


def test_a_lost_right_to_look_is_asked_for_seldom_and_not_for_ever(
    world: TwinUploadWorld,
) -> None:
    """Each refusal is a look too. The right may come back until a day is over."""
    world.cloudfront.hidden.add("E1")
    world.run(at_most_s=DAY_S + 1_000)
    assert record_of(world).given_up_at is not None
    assert looks(world) < 300


def test_a_completion_that_comes_late_is_seen(world: TwinUploadWorld) -> None:
    """After an hour two minutes late at the most, and it is a completion."""
    (made,) = world.cloudfront.made("E1")
    late = replace(made, completes_s=world.clock.now_ns() / 1e9 + 3_600)
    world.cloudfront.of("E1").all[made.id] = late
    world.run(at_most_s=3_600 + 130)
    world.check()
    record = record_of(world)
    assert record.given_up_at is None
    assert record.completed_at is not None
    assert len(world.measures.lives) == 1


def test_turns_that_come_for_other_reasons_do_not_look(world: TwinUploadWorld) -> None:
    """Uploads wake a busy distribution all the time: what a turn did is told by its rows."""
    world.clock.sleep(15)
    before = looks(world)
    for _ in range(20):
        world.turn("E1")
    assert looks(world) == before


def test_the_minutes_sweep_does_not_make_looks(world: TwinUploadWorld) -> None:
    """After an hour they are two to four minutes apart, and the sweeps are one."""
    world.clock.sleep(3_600)
    before = looks(world)
    world.clock.sleep(3_600)
    assert 15 <= looks(world) - before <= 31
