"""A batch whose answer was lost is found among others' invalidations, a few calls at a time."""

from collections import Counter
from collections.abc import Collection, Sequence

import pytest

from functions.domain.batch import BatchState, LookUp, Made, Missing, Refused, Unanswered
from functions.domain.invalidation_limits import Meaning
from functions.domain.looking_up import LOOKED_AT_ONCE
from functions.domain.sites import Sites
from tests.twins.upload_world import TwinUploadWorld, site

BUCKET = "shop-bucket"
STRANGERS = 10


def world_with_strangers(
    monkeypatch: pytest.MonkeyPatch, *, is_made: bool, gone: Collection[str] = ()
) -> TwinUploadWorld:
    """Return a world in which the first call's reference is taken, and others invalidate too.

    `is_made`: it is, only nobody was told. `gone`: the distributions deleted then.
    """
    world = TwinUploadWorld(Sites.of([site()]))
    cloudfront = world.cloudfront
    cloudfront.controls = cloudfront.controls.changed({"throttling": False})
    create = cloudfront.create

    def taken(
        distribution: str, reference: str, paths: Sequence[str]
    ) -> Made | Refused | Unanswered:
        if cloudfront.called_at:
            return create(distribution, reference, paths)
        for number in range(STRANGERS):
            create(distribution, f"stranger-{number}", ["/x"])
        if is_made:
            create(distribution, reference, paths)
        cloudfront.gone.update(gone)
        return Refused(Meaning.REFERENCE_TAKEN, "it was used")

    monkeypatch.setattr(cloudfront, "create", taken)
    return world


def ours(world: TwinUploadWorld) -> list[tuple[str, ...]]:
    """Return the paths of each invalidation that is none of the strangers'."""
    made = world.cloudfront.made("E1")
    return [one.batch.paths for one in made if one.batch.paths != ("/x",)]


def count_gets(world: TwinUploadWorld, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the calls of each look-up, as they come."""
    counts: list[int] = []
    look_up = world.cloudfront.look_up

    def counted(distribution: str, wanted: LookUp) -> Made | Missing:
        before = Counter(world.cloudfront.calls)
        try:
            return look_up(distribution, wanted)
        finally:
            counts.append((world.cloudfront.calls - before).total())

    monkeypatch.setattr(world.cloudfront, "look_up", counted)
    return counts


def test_it_is_found_however_many_others_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made once and paid once; each look-up, which is claimed as one call, is a few."""
    world = world_with_strangers(monkeypatch, is_made=True)
    counts = count_gets(world, monkeypatch)
    world.come(BUCKET, "a.png")
    world.run()
    assert not world.stale()
    assert ours(world) == [("/a.png",)]
    assert counts == [1 + LOOKED_AT_ONCE, 1 + LOOKED_AT_ONCE, 1 + 3]


def test_what_was_never_made_is_asked_for_once_all_were_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not before: it might have been among the rest."""
    world = world_with_strangers(monkeypatch, is_made=False)
    counts = count_gets(world, monkeypatch)
    world.come(BUCKET, "a.png")
    world.run()
    assert not world.stale()
    assert ours(world) == [("/a.png",)]
    assert counts == [1 + LOOKED_AT_ONCE, 1 + LOOKED_AT_ONCE, 1 + 2]


def test_a_distribution_that_was_deleted_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its batch is over, and its paths wait for whoever mends the configuration."""
    world = world_with_strangers(monkeypatch, is_made=True, gone=["E1"])
    world.come(BUCKET, "a.png")
    world.clock.sleep(600)
    assert {record.state for record in world.table.records.values()} == {BatchState.REFUSED}
    assert world.table.waiting["E1"]


def test_a_look_up_in_parts_holds_no_other_upload_up() -> None:
    """Nobody knows whether it was made; what comes meanwhile is cleared by its own path."""
    world = TwinUploadWorld(Sites.of([site()]))
    world.cloudfront.silent_paths.add("/silent.png")
    began = world.clock.wall()
    strangers = iter(range(40))

    def others(_number: int, name: str) -> None:
        if world.cloudfront.calls["ListInvalidations"]:
            world.cloudfront.silent_paths.clear()
        if name != "create" and (world.clock.wall() - began).total_seconds() > 2:
            for number in strangers:
                world.cloudfront.made_by_another("E1", f"stranger-{number}", "/x")

    world.hook = others
    world.come(BUCKET, "silent.png")
    world.come(BUCKET, "good.png", 30)
    world.run()
    assert not world.stale()
    assert ours(world) == [("/good.png",), ("/silent.png",)]
    good = next(one for one in world.cloudfront.made("E1") if "/good.png" in one.batch.paths)
    assert (good.created_at - began).total_seconds() < 230


def test_a_look_up_in_vain_makes_no_late_event_clear_everything() -> None:
    """What is looked for is no refusal: an event from the dead letters has its exact path sent."""
    world = TwinUploadWorld(Sites.of([site()]))
    world.cloudfront.silent_paths.add("/silent.png")
    world.cloudfront.hidden.add("E1")
    world.come(BUCKET, "silent.png")
    world.clock.sleep(1_800)
    world.deliver([world.upload(BUCKET, "docs/late.png", -3_600)])
    world.clock.sleep(30)
    assert ours(world) == [("/docs/late.png",)]
