"""What a turn makes of a long wait, of a spent cap, and of refusals."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import count, pairwise

import pytest

from functions.domain.batch import LookUp, Made, Missing, Refused, Unanswered
from functions.domain.errors import CloudFrontError
from functions.domain.invalidation_limits import Meaning
from functions.domain.path_rules import PathRule
from functions.domain.paths import STAR_IN_KEY, Path
from functions.domain.uploads import Change, Kind
from functions.domain.waiting import Waiting
from functions.domain.wildcards import EVERYTHING
from lab.edge.controls import Fault
from tests.unit.functions.one_site import BUCKET, reasons, sent, world_of


@pytest.mark.parametrize(
    ("refused_s", "path"), [(400, "/a/b.png"), (700, "/a/*"), (1_300, EVERYTHING)]
)
def test_what_waits_too_long_escalates(refused_s: int, path: str) -> None:
    """After 10 min of refusals to the folder, after 20 to everything, and it says so."""
    world = world_of()
    world.come(BUCKET, "a/b.png")
    until = world.clock.wall() + timedelta(seconds=refused_s)
    world.hook = lambda _, name: (
        world.cloudfront.faults.append(Fault.TOO_MANY)
        if name == "create" and world.clock.wall() < until and not world.cloudfront.faults
        else None
    )
    world.cloudfront.injected[Fault.TOO_MANY] = 1_000
    world.run()
    world.check()
    assert sent(world) == [(path,)]
    if path != "/a/b.png":
        assert "/a/b.png has waited" in reasons(world)[path]


def test_an_event_that_comes_late_escalates_nothing() -> None:
    """Redelivered after half an hour, with nothing in its way: its own path is all it needs."""
    world = world_of()
    world.deliver([world.upload(BUCKET, "a/b.png")], 1_800)
    world.run()
    world.check()
    assert sent(world) == [("/a/b.png",)]


def test_a_spent_cap_prefers_wildcards_and_says_so() -> None:
    """The site's money is gone: its folder is cleared as a whole, however much is in it."""
    world = world_of(monthly_cap_usd=1.0)
    world.objects.buckets[BUCKET] = {f"a/{n}.png" for n in range(3_000)}
    world.spend("shop", 2_000)
    for n in range(3):
        world.come(BUCKET, f"a/{n}.png")
    world.run()
    world.check()
    assert sent(world) == [("/a/*",)]
    assert reasons(world)["/a/*"].endswith("the site's cap for this month is spent")
    usd, share_of_cap = world.measures.spent_["shop"]
    assert usd == share_of_cap == pytest.approx(5.005)


def test_a_cap_of_nothing_is_the_free_paths() -> None:
    """Nothing is spent and nothing thrown away while they last."""
    world = world_of(monthly_cap_usd=0.0)
    world.objects.buckets[BUCKET] = {f"a/{n}.png" for n in range(3_000)}
    for n in range(3):
        world.come(BUCKET, f"a/{n}.png")
    world.run()
    world.check()
    assert sent(world) == [("/a/0.png", "/a/1.png", "/a/2.png")]


def test_below_the_cap_exact_paths_are_paid_for() -> None:
    """The same uploads, with money left."""
    world = world_of(monthly_cap_usd=10.0)
    world.objects.buckets[BUCKET] = {f"a/{n}.png" for n in range(3_000)}
    world.spend("shop", 2_000)
    for n in range(3):
        world.come(BUCKET, f"a/{n}.png")
    world.run()
    world.check()
    assert sent(world) == [("/a/0.png", "/a/1.png", "/a/2.png")]


def test_refusals_in_a_row_are_asked_again_ever_more_slowly() -> None:
    """Each refused batch is over and its paths are in another one: the rows tell how often."""
    world = world_of()
    world.cloudfront.inject(*[Fault.THROTTLE] * 6)
    world.come(BUCKET, "a.png")
    world.run()
    world.check()
    at = world.cloudfront.called_at
    waits = [(b - a).total_seconds() for a, b in pairwise(at)]
    assert waits == pytest.approx([4, 8, 16, 32, 60, 60], abs=1.5)


def test_a_star_and_what_was_asked_by_hand_keep_their_reasons() -> None:
    """Each wildcard is recorded with why it is none of our choices."""
    world = world_of()
    world.come(BUCKET, "x/b*c.png")
    asked = Change(BUCKET, "y/", Kind.ASKED, None, world.clock.wall())
    by_hand = Waiting("E1", "shop", Path("/y/*", "asked for by hand"), asked, "somebody")
    world.table.uploads.ask([by_hand])
    world.run()
    assert reasons(world) == {"/x/b*": STAR_IN_KEY, "/y/*": "asked for by hand"}


def test_an_upload_that_an_invalidation_covers_makes_no_other() -> None:
    """Made at least 5 s after it, by a wildcard as well: the row is settled without a call."""
    world = world_of()
    asked = Change(BUCKET, "", Kind.ASKED, None, world.clock.wall())
    late = world.upload(BUCKET, "a/late.png")
    sooner = world.upload(BUCKET, "a/sooner.png", 6)
    world.table.uploads.ask([Waiting("E1", "shop", Path(EVERYTHING, "by hand"), asked)])
    world.deliver([late, sooner], 20)
    world.clock.sleep(10)
    world.turn("E1")
    world.run()
    world.check()
    assert sent(world) == [(EVERYTHING,), ("/a/sooner.png",)]


def test_a_clock_of_the_future_keeps_nobody_waiting() -> None:
    """An event's time may be wrong by an hour."""
    world = world_of()
    row = Waiting(
        "E1",
        "shop",
        Path("/a.png"),
        Change(BUCKET, "a.png", Kind.CREATED, "0A", world.clock.wall() + timedelta(hours=1)),
    )
    world.table.uploads.ask([row, replace(row, path=Path("/b.png"))])
    world.turn("E1")
    assert sent(world) == [("/a.png", "/b.png")]


def test_a_bucket_that_cannot_be_listed_costs_only_money() -> None:
    """Without a count no folder is cleared to save anything."""
    world = world_of(monthly_cap_usd=0.0)
    world.spend("shop", 2_000)
    world.objects.fails = True
    for n in range(3):
        world.come(BUCKET, f"a/{n}.png")
    world.run()
    world.check()
    assert sent(world) == [("/a/0.png", "/a/1.png", "/a/2.png")]
    assert "folder-not-counted" in world.log.names


def test_more_than_there_is_room_for_waits_for_completions() -> None:
    """Never more than 2,900 exact paths in progress: the rest follows, and none by force."""
    world = world_of()
    world.objects.fails = True
    for n in range(0, 4_000, 100):
        world.deliver([world.upload(BUCKET, f"{k}.png") for k in range(n, n + 100)], 0.1)
    world.run()
    world.check()
    assert world.cloudfront.highest("E1").exact == 2_900
    assert world.cloudfront.paths_used("E1").exact == 4_000


def test_what_cannot_be_listed_or_looked_at_is_tried_later() -> None:
    """Completions that CloudFront does not tell of are asked for again."""
    world = world_of()
    world.come(BUCKET, "a.png")
    world.cloudfront.controls = world.cloudfront.controls.changed({"completion_s": 100})
    world.run()
    world.check()
    assert 5 <= world.cloudfront.calls["ListInvalidations"] <= 14
    ((_, requested_s, live_s),) = world.measures.lives
    assert requested_s < 2
    assert live_s >= 100


def test_a_batch_whose_reference_is_taken_is_looked_up_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was made, only nobody knows: what has come since goes on, and nothing of it twice."""
    world = world_of()
    create, look_up = world.cloudfront.create, world.cloudfront.look_up
    fails = count(1)

    def taken(
        distribution: str, reference: str, paths: Sequence[str]
    ) -> Made | Refused | Unanswered:
        answer = create(distribution, reference, paths)
        is_first = len(world.cloudfront.called_at) == 1
        return Refused(Meaning.REFERENCE_TAKEN, "it was used") if is_first else answer

    def ill(distribution: str, wanted: LookUp) -> Made | Missing:
        if next(fails) <= 3:
            raise CloudFrontError("ill")
        return look_up(distribution, wanted)

    monkeypatch.setattr(world.cloudfront, "create", taken)
    monkeypatch.setattr(world.cloudfront, "look_up", ill)
    world.come(BUCKET, "a.png")
    world.come(BUCKET, "b.png", 4)
    world.run()
    world.check()
    assert sent(world) == [("/a.png",), ("/b.png",)]
    assert next(fails) == 5
    created = [one.created_at for one in world.cloudfront.made("E1")]
    assert sorted(r.created_at for r in world.table.records.values() if r.created_at) == created


def test_a_batch_that_is_never_answered_holds_nobody_up() -> None:
    """It is looked up and freed, and after ten minutes its folder is sent for what kills it."""
    world = world_of()
    world.cloudfront.silent_paths.add("/a/deadly.png")
    world.come(BUCKET, "a/deadly.png")
    world.come(BUCKET, "b/later.png", at_s=30)
    world.run()
    world.check()
    assert sent(world) == [("/a/*", "/b/*")]


def test_a_look_at_what_has_completed_leaves_the_calls_to_the_batches() -> None:
    """A full distribution is looked at each ten seconds, however often the turn goes round."""
    world = world_of()
    world.cloudfront.controls = replace(world.cloudfront.controls, completion_s=60)
    for number in range(4_000):
        world.come(BUCKET, f"{number}/{number}.png", number / 400)
    began = world.clock.wall()
    world.run()
    world.check()
    took_s = (world.clock.wall() - began).total_seconds()
    assert world.cloudfront.calls["ListInvalidations"] <= took_s / 10 + 2


def test_what_waits_for_a_wildcards_room_escalates() -> None:
    """Thirteen at a time: of many pages with query strings the folder is cleared instead."""
    world = world_of(extra_paths=(PathRule("{page}.html", ("/{page}*",)),))
    world.objects.fails = True
    world.cloudfront.controls = replace(world.cloudfront.controls, completion_s=100)
    world.deliver([world.upload(BUCKET, f"shop/{n:03}.html") for n in range(120)])
    began = world.clock.wall()
    world.run()
    world.check()
    assert "/shop/*" in sent(world)[-1]
    assert "/shop/" in reasons(world)["/shop/*"]
    assert (world.cloudfront.made("E1")[-1].created_at - began).total_seconds() < 660
