"""A minute of 10,000 uploads, and what is quick: a single file, and a folder at once."""

import random
from datetime import datetime

import pytest

from functions.domain.path_prices import FEE_USD
from functions.domain.sites import Sites
from lab.edge.controls import Fault
from tests.twins.upload_world import TwinUploadWorld, site

BUCKET = "shop-bucket"
UPLOADS, FOLDERS, UNCHANGED = 10_000, 200, 20
FAULTS = (Fault.THROTTLE, Fault.TOO_MANY, Fault.UNAVAILABLE_AFTER, None, None)


def storm(world: TwinUploadWorld, chance: random.Random) -> int:
    """Let the minute's messages be on their way; return how many records are repetitions."""
    for folder in range(FOLDERS):
        world.objects.buckets.setdefault(BUCKET, set()).update(
            f"img/{folder:03}/old {number}.jpg" for number in range(UNCHANGED)
        )
    come: list[tuple[float, str]] = []
    for number in range(UPLOADS):
        at_s = round(number * 60 / UPLOADS, 3)
        one = world.upload(BUCKET, f"img/{number % FOLDERS:03}/photo {number:05}.jpg", at_s)
        is_late = chance.random() < 0.1
        come.append((at_s + (chance.uniform(5, 60) if is_late else chance.uniform(0.05, 0.8)), one))
        if chance.random() < 0.2:
            come.append((at_s + chance.uniform(0.1, 30), one))
    come.sort()
    for place in range(0, len(come), 10):
        batch = come[place : place + 10]
        world.deliver([one for _, one in batch], batch[-1][0])
    return len(come) - UPLOADS


@pytest.mark.slow
def test_ten_thousand_uploads_in_a_minute_are_all_fresh_for_a_few_dollars() -> None:
    """20 % repeated, 10 % late, calls refused and unanswered: no limit is ever exceeded."""
    chance = random.Random(20261126)  # noqa: S311  the same storm each time
    world = TwinUploadWorld(Sites.of([site()]))
    world.cloudfront.inject(*(chance.choice(FAULTS) for _ in range(12)))
    repeated = storm(world, chance)
    assert repeated > 0.19 * UPLOADS
    old = {upload.key for upload in world.uploads[:: UPLOADS // 50]}
    for key in old:
        world.cloudfront.visit("E1", f"/{key}".replace(" ", "%20"), b"old")
    world.run()
    world.check()
    assert world.measures.collected_ == {"changes": UPLOADS, "repeated": repeated, "ignored": 0}
    world.clock.sleep(1)
    for key in old:
        path = f"/{key}".replace(" ", "%20")
        assert world.cloudfront.visit("E1", path, b"new") == b"new", "fresh at the edge"
    load = world.cloudfront.paths_used("E1")
    usd, naive_usd = (load.exact + load.wildcards) * FEE_USD, UPLOADS * FEE_USD
    assert usd <= naive_usd / 10
    assert world.cloudfront.calls["CreateInvalidation"] <= 40
    assert max(live_s for _, _, live_s in world.measures.lives) < 600, "nothing had to escalate"
    assert not any("has waited" in str(fields) for _, fields in world.log.lines)


def test_a_single_upload_is_called_for_within_two_seconds() -> None:
    """Warm, with nothing else pending: a second of the wake's delay, and one round."""
    world = TwinUploadWorld(Sites.of([site()]))
    began = world.clock.wall()
    world.deliver([world.upload(BUCKET, "a.png", 0)], 0.4)
    world.run()
    world.check()
    assert (world.cloudfront.called_at[0] - began).total_seconds() < 2
    (made,) = world.cloudfront.made("E1")
    assert made.batch.paths == ("/a.png",)
    ((name, requested_s, live_s),) = world.measures.lives
    assert (name, requested_s < 2 < live_s) == ("shop", True)


def test_a_folder_of_500_at_once_takes_three_calls_at_most() -> None:
    """What arrives within two seconds is sent together as far as it can be."""
    world = TwinUploadWorld(Sites.of([site()]))
    for place in range(50):
        at_s = place * 2 / 50
        records = [world.upload(BUCKET, f"new/{place:02}-{n}.png", at_s) for n in range(10)]
        world.deliver(records, at_s + 0.1)
    world.run()
    world.check()
    assert len(world.cloudfront.made("E1")) <= 3
    assert (world.cloudfront.called_at[0] - world.uploads[0].at).total_seconds() < 4


def test_uploads_while_the_turn_is_busy_are_not_forgotten() -> None:
    """Their wake found the lease taken: the turn looks once more when it has given it back."""
    world = TwinUploadWorld(Sites.of([site()]))
    world.come(BUCKET, "a.png", 0)
    released: list[datetime] = []

    def come_late(_: int, name: str) -> None:
        if name == "release" and not released:
            released.append(world.clock.wall())
            body = '{"Records":[' + world.upload(BUCKET, "b.png", 0) + "]}"
            world.collect([body])
            world.table.messages.clear()  # delivered, and whoever came left again

    world.hook = come_late
    world.run()
    world.check()
    assert (world.cloudfront.called_at[1] - released[0]).total_seconds() < 2
