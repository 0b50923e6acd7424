"""What a turn makes of the paths that CloudFront refuses for good."""

from dataclasses import replace

import pytest

from functions.domain.path_rules import PathRule
from functions.domain.paths import Path
from functions.domain.uploads import Change, Kind
from functions.domain.waiting import Waiting
from lab.edge.controls import Fault
from tests.twins.upload_world import TwinUploadWorld
from tests.unit.functions.one_site import BUCKET, sent, world_of


def test_a_bad_path_is_found_and_set_aside_and_the_others_go_on() -> None:
    """By halving: each half is asked for alone, and only the bad one is left over."""
    world = world_of()
    world.cloudfront.bad_paths.add("/7.png")
    for n in range(20):
        world.come(BUCKET, f"{n}.png")
    world.run()
    world.check()
    ((_, aside),) = world.table.asides.items()
    assert (aside.path, aside.keys) == ("/7.png", ("7.png",))
    assert "InvalidArgument" in aside.why
    assert world.measures.aside == {"E1": 1}
    assert len({path for paths in sent(world) for path in paths}) == 19


def test_a_path_known_as_bad_spoils_no_batch_and_is_forgiven_when_it_is_taken() -> None:
    """A later upload of it is asked for last and alone: one call, until CloudFront takes it."""
    world = world_of()
    world.cloudfront.bad_paths.add("/7.png")
    calls = []
    for deploy in range(3):
        for n in range(20):
            world.come(BUCKET, f"{n}.png")
        if deploy == 2:
            world.cloudfront.bad_paths.clear()
        before = len(world.cloudfront.called_at)
        world.run()
        calls.append(len(world.cloudfront.called_at) - before)
    world.check()
    assert calls[1:] == [2, 2]
    assert [len(paths) for paths in sent(world)[-3:]] == [19, 19, 1]
    assert not world.table.asides


def test_a_bad_wildcard_takes_no_upload_with_it() -> None:
    """It is set aside; what it only was to cover goes on by exact paths."""
    world = world_of(monthly_cap_usd=0.0)
    world.spend("shop", 2_000)
    world.cloudfront.bad_paths.add("/a/*")
    for n in range(5):
        world.come(BUCKET, f"a/{n}.png")
    world.run()
    world.check()
    assert [one.path for one in world.table.asides.values()] == ["/a/*"]
    assert {path for paths in sent(world) for path in paths} >= {f"/a/{n}.png" for n in range(5)}


def test_a_path_set_aside_names_the_first_of_its_keys() -> None:
    """A row of the table holds 400 KB, and an extra path can stand for any number of files."""
    everything = PathRule("{page}.html", ("/all",))
    world = world_of(extra_paths=(everything,))
    world.cloudfront.bad_paths.add("/all")
    for number in range(150):
        world.come(BUCKET, f"{number:03}.html")
    world.run()
    (aside,) = world.table.batches.aside("E1")
    assert len(aside.keys) == 100


@pytest.mark.parametrize("bad", [1, 10, 50])
def test_what_comes_while_a_batch_is_halved_does_not_wait_for_its_end(bad: int) -> None:
    """It and the halves take turns, so that neither can keep the other from CloudFront."""
    world = world_of()
    world.cloudfront.bad_paths.update(f"/{n * 500 // bad}.png" for n in range(bad))
    world.deliver([world.upload(BUCKET, f"{n}.png") for n in range(500)])
    world.come(BUCKET, "good.png", 20)
    uploaded_at = world.uploads[-1].at
    world.run()
    world.check()
    (made,) = (one for one in world.cloudfront.made("E1") if "/good.png" in one.batch.paths)
    assert (made.created_at - uploaded_at).total_seconds() < 10
    assert len(world.table.asides) == bad


def test_halves_go_on_however_much_comes() -> None:
    """A site on which something is uploaded all the time finds its bad paths too."""
    world = world_of()
    world.cloudfront.bad_paths.add("/7.png")
    world.deliver([world.upload(BUCKET, f"{n}.png") for n in range(64)])
    for n in range(300):
        world.come(BUCKET, f"more/{n}.png", 5 + n)
    world.run()
    world.check()
    ((_, aside),) = world.table.asides.items()
    assert (aside.at - world.uploads[0].at).total_seconds() < 45


def test_halves_that_hold_all_the_room_go_on() -> None:
    """What has come since has no room, and is not why they wait."""
    world = world_of()
    names = [f"a/{n:04}.png" for n in range(2_900)]
    world.objects.fails = True
    world.cloudfront.bad_paths.update(f"/{names[n]}" for n in (10, 800, 1_500, 2_300))
    world.deliver([world.upload(BUCKET, name) for name in names])
    world.come(BUCKET, "a/late.png", 2.2)
    began = world.clock.wall()
    world.run()
    world.check()
    assert not any(path.endswith("*") for paths in sent(world) for path in paths)
    (made,) = (one for one in world.cloudfront.made("E1") if "/a/late.png" in one.batch.paths)
    assert (made.created_at - began).total_seconds() < 60
    assert len(world.table.asides) == 4


def test_a_path_known_as_bad_waits_a_minute_at_most_for_the_others() -> None:
    """Also where something is uploaded all the time: CloudFront may take it by now."""
    world = world_of()
    world.cloudfront.bad_paths.add("/7.png")
    world.come(BUCKET, "7.png")
    world.run()
    world.cloudfront.bad_paths.clear()
    world.come(BUCKET, "7.png")
    uploaded_at = world.uploads[-1].at
    for n in range(600):
        world.come(BUCKET, "hot.json", 0.3 * n)
    world.run()
    world.check()
    (made,) = (one for one in world.cloudfront.made("E1") if "/7.png" in one.batch.paths)
    assert 50 < (made.created_at - uploaded_at).total_seconds() < 75


def by_hand(world: TwinUploadWorld, *paths: str) -> None:
    """Ask for paths as somebody does by hand."""
    asked = Change(BUCKET, "", Kind.ASKED, None, world.clock.wall())
    world.table.uploads.ask([Waiting("E1", "shop", Path(one, "by hand"), asked) for one in paths])


def test_a_bad_wildcard_that_has_no_room_keeps_no_exact_path_waiting() -> None:
    """There is room for those; its own comes when one of thirteen has completed."""
    world = world_of()
    world.cloudfront.bad_paths.add("/bad/*")
    by_hand(world, "/bad/*")
    world.run()
    world.cloudfront.controls = replace(world.cloudfront.controls, completion_s=1_200)
    by_hand(world, *(f"/{n:02}/*" for n in range(13)))
    world.turn("E1")
    by_hand(world, "/bad/*")
    world.clock.sleep(90)
    world.come(BUCKET, "good.png")
    world.clock.sleep(10)
    assert sent(world)[-1] == ("/good.png",)


def test_what_completes_while_a_batch_is_halved_is_seen() -> None:
    """The halves leave a call in five to the look."""
    world = world_of()
    world.come(BUCKET, "first.png")
    world.clock.sleep(3)
    names = [f"{n}.png" for n in range(256)]
    world.cloudfront.bad_paths.update(f"/{name}" for name in names[::11])
    world.deliver([world.upload(BUCKET, name) for name in names])
    world.run()
    world.check()
    assert min(live_s for _, _, live_s in world.measures.lives) < 25


def test_a_half_that_is_throttled_stops_the_next_one() -> None:
    """They were one batch, but each is a call."""
    world = world_of()
    world.cloudfront.bad_paths.update({"/0.png", "/5.png"})
    world.cloudfront.inject(None, Fault.THROTTLE)
    world.deliver([world.upload(BUCKET, f"{n}.png") for n in range(8)])
    world.run()
    world.check()
    _, throttled_at, next_at, *_ = world.cloudfront.called_at
    assert (next_at - throttled_at).total_seconds() >= 4
