"""The way from an upload to its invalidation is killed, overtaken or robbed at every step of it."""

from collections.abc import Callable

import pytest

from functions.domain.batch import BatchState
from functions.domain.errors import TableError
from functions.domain.sites import Sites
from functions.invalidating import RESERVE_S, Turn
from functions.turn_lease import LEASE_S
from lab.edge.controls import Fault
from tests.twins.upload_world import (
    REDELIVERED_S,
    SWEEP_EVERY_S,
    TwinUploadWorld,
    record,
    site,
)

BUCKET = "shop-bucket"
SITES = Sites.of([site(distributions=("E1", "E2"))])

FAULTS: dict[str, tuple[Fault | None, ...]] = {
    "refused": (Fault.THROTTLE, None, Fault.TOO_MANY),
    "ill": (Fault.UNAVAILABLE_AFTER, Fault.UNAVAILABLE, Fault.THROTTLE),
    "silent": (Fault.HANG, None, Fault.HANG_AFTER, Fault.TOO_MANY),
    "bad path": (),
}

pytestmark = pytest.mark.slow


def scenario(faults: str) -> TwinUploadWorld:
    """Return a world in which uploads come, some late and some twice, and some have hard names."""
    world = TwinUploadWorld(SITES)
    world.cloudfront.inject(*FAULTS[faults])
    first = world.upload(BUCKET, "img/a.png")
    again = world.upload(BUCKET, "img/a.png", 0.4)
    world.deliver([again, world.upload(BUCKET, "index.html", 0.2)], 0.5)
    world.deliver([first], 0.7)  # late: a later one of the key has come
    world.deliver([again], 2.5)  # twice
    world.come(BUCKET, "img/b*c.png", 0.9)
    world.come(BUCKET, "img/d e.png", 1.3)
    world.come(BUCKET, "img/a.png", 9.0)
    if faults == "bad path":
        world.cloudfront.bad_paths.add("/bad.png")
        world.come(BUCKET, "bad.png", 1.0)
    return world


def steps_of(faults: str) -> int:
    """Return how many steps the scenario takes when nothing disturbs it."""
    world = scenario(faults)
    world.run()
    world.check()
    return world.steps


def disturbed(
    faults: str, number: int, disturb: Callable[[TwinUploadWorld], None]
) -> TwinUploadWorld:
    """Run the scenario to its end, with something done to it at one step."""
    world = scenario(faults)
    world.hook = lambda step, _: disturb(world) if step == number else None
    world.run()
    return world


@pytest.mark.parametrize("faults", FAULTS)
def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(faults: str) -> None:
    """Before, within and after every write, read and call: the next turn goes on from the table."""
    for number in range(1, steps_of(faults) + 1):
        world = disturbed(faults, number, TwinUploadWorld.kill)
        world.check()


@pytest.mark.parametrize("faults", ["silent", "bad path"])
def test_two_crashes_are_no_worse_than_one(faults: str) -> None:
    """What goes on after a crash may crash in its turn."""
    for number in range(1, steps_of(faults) + 1, 2):
        world = scenario(faults)
        kills = {number, number + 1 + number % 17}
        world.hook = lambda step, _, world=world, kills=kills: (  # type: ignore[misc]
            world.kill() if step in kills else None
        )
        world.run()
        world.check()


@pytest.mark.parametrize("faults", ["silent"])
def test_a_second_turn_at_any_step_of_the_first_changes_nothing(faults: str) -> None:
    """Two invocations at once for a distribution: one of them leaves."""
    for number in range(1, steps_of(faults) + 1):
        world = disturbed(faults, number, lambda world: world.turn("E1"))
        world.check()


@pytest.mark.parametrize("faults", FAULTS)
def test_a_turn_that_lost_its_lease_at_any_step_can_do_no_harm(faults: str) -> None:
    """It was stopped past its expiry, another one has done the work, and now it goes on."""

    def overtake(world: TwinUploadWorld) -> None:
        world.clock.jump(LEASE_S + 1)
        world.turn("E1")

    for number in range(1, steps_of(faults) + 1):
        world = disturbed(faults, number, overtake)
        world.check(stopped=1)


@pytest.mark.parametrize("faults", ["ill", "silent"])
def test_a_turn_overtaken_by_one_that_crashed_can_do_no_harm(faults: str) -> None:
    """Of the second turn only a part was done when it died."""
    for number in range(1, steps_of(faults) + 1):
        world = scenario(faults)

        def overtake(step: int, _: str, world: TwinUploadWorld = world, at: int = number) -> None:
            if step == at:
                world.clock.jump(LEASE_S + 1)
                world.half_a_turn("E1", steps=5 + at % 40)

        world.hook = overtake
        world.run()
        world.check(stopped=1)


def test_the_scenario_has_what_it_is_to_prove() -> None:
    """Calls that were refused, that were made without an answer, halves, and wildcards."""
    outcomes = set()
    for faults in FAULTS:
        world = scenario(faults)
        world.run()
        outcomes |= {str(outcome) for outcome in world.measures.outcomes}
        assert world.measures.collected_["repeated"] == 2
        asides = [("E1", "/bad.png"), ("E2", "/bad.png")] if faults == "bad path" else []
        assert sorted(world.table.asides) == asides
    assert outcomes == {"made", "unknown", "throttled", "full", "bad-paths"}


def test_a_message_that_comes_again_after_a_crash_wakes_as_well() -> None:
    """Its rows were written, and nobody was told: the repetition does not wait for the sweep."""
    world = TwinUploadWorld(SITES)
    began = world.clock.wall()
    body = f'{{"Records":[{record(BUCKET, "a.png", began, "0A")}]}}'

    def die(_: int, name: str) -> None:
        if name == "wake" and world.clock.wall() == began:
            world.kill()

    world.hook = die
    world.deliver_bodies([body])
    world.run()
    world.check()
    waited_s = (world.cloudfront.called_at[0] - began).total_seconds()
    assert REDELIVERED_S < waited_s < REDELIVERED_S + 2 < SWEEP_EVERY_S


def test_a_turn_that_lost_its_lease_writes_nothing_more() -> None:
    """Not even the answer that it hears: whoever has the lease asks again, and hears the same."""
    world = TwinUploadWorld(SITES)
    world.collect([f'{{"Records":[{world.upload(BUCKET, "a.png")}]}}'])
    world.clock.jump(1)

    def rob(_: int, name: str) -> None:
        if name == "create" and not world.cloudfront.made("E1"):
            world.clock.jump(LEASE_S + 1)
            world.half_a_turn("E1", steps=2)

    world.hook = rob
    world.turn("E1")
    (state,) = (one.state for one in world.table.open if one.distribution == "E1")
    assert state is BatchState.ASKED
    assert len(world.cloudfront.made("E1")) == 1
    world.hook = lambda _number, _name: None
    world.run()
    world.check()
    assert len(world.cloudfront.made("E1")) == 1


def test_a_turn_whose_function_is_about_to_end_leaves_the_rest_to_the_next() -> None:
    """No round is begun that its process might not live to end."""
    world = TwinUploadWorld(SITES)
    world.collect([f'{{"Records":[{world.upload(BUCKET, "a.png")}]}}'])
    world.clock.jump(2)
    world.table.messages.clear()
    ends_at_ms = world.clock.now_ms + round(RESERVE_S * 1000)
    Turn(world.world, SITES, "E1", "short", ends_at_ms).take()
    assert not world.cloudfront.called_at
    assert [name for _, name in world.table.messages] == ["E1"]
    world.run()
    world.check()


def test_what_comes_when_a_function_is_about_to_end_is_the_next_ones() -> None:
    """Its wake found the lease taken and left; and the minute's sweep is far away."""
    world = TwinUploadWorld(SITES)
    world.collect([f'{{"Records":[{world.upload(BUCKET, "a.png")}]}}'])
    world.clock.jump(2)
    world.table.messages.clear()
    ends_at_ms = world.clock.now_ms + round(RESERVE_S * 1000) + 4_000

    def come(_number: int, name: str) -> None:
        if name == "release" and len(world.uploads) == 1:
            world.collect([f'{{"Records":[{world.upload(BUCKET, "b.png")}]}}'])
            world.clock.jump(4)
            world.table.messages.clear()

    world.hook = come
    Turn(world.world, SITES, "E1", "short", ends_at_ms).take()
    assert len(world.uploads) == 2
    soonest_at = min(at for at, _ in world.table.messages)
    assert (soonest_at - world.clock.wall()).total_seconds() <= 1
    world.run()
    world.check()


def test_a_turn_that_cannot_look_for_news_has_sent_its_wake() -> None:
    """What it knows to be left is woken for before it asks the table anything more."""
    world = TwinUploadWorld(SITES)
    world.collect([f'{{"Records":[{world.upload(BUCKET, "a.png")}]}}'])
    world.clock.jump(2)
    world.table.messages.clear()
    released = []

    def fail(_number: int, name: str) -> None:
        if name == "release":
            released.append(name)
        if released and name in {"oldest", "waiting"}:
            raise TableError("ill")

    world.hook = fail
    with pytest.raises(TableError):
        world.turn("E1")
    assert [name for _, name in world.table.messages] == ["E1"]
