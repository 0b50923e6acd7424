"""The way from an upload to its invalidation is killed, overtaken or robbed at every step of it."""

from collections.abc import Callable

import pytest

from functions.domain.sites import Sites
from functions.turn_lease import LEASE_S
from lab.edge.controls import Fault
from tests.twins.upload_world import TwinUploadWorld, record, site

BUCKET = "shop-bucket"
SITES = Sites.of([site(distributions=("E1", "E2"))])

FAULTS: dict[str, tuple[Fault | None, ...]] = {
    "refused": (Fault.THROTTLE, None, Fault.TOO_MANY),
    "ill": (Fault.UNAVAILABLE_AFTER, Fault.UNAVAILABLE, Fault.THROTTLE),
    "silent": (Fault.HANG, None, Fault.HANG_AFTER, Fault.TOO_MANY),
    "well": (),
}


def scenario(faults: str, *, bad: bool) -> TwinUploadWorld:
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
    if bad:
        world.cloudfront.bad_paths.add("/bad.png")
        world.come(BUCKET, "bad.png", 1.0)
    return world


CASES = [
    pytest.param(faults, bad, id=f"{faults}-{'bad' if bad else 'good'}")
    for faults in FAULTS
    for bad in (False, True)
]


def steps_of(faults: str, *, bad: bool) -> int:
    """Return how many steps the scenario takes when nothing disturbs it."""
    world = scenario(faults, bad=bad)
    world.run()
    world.check()
    return world.steps


def disturbed(
    faults: str, number: int, disturb: Callable[[TwinUploadWorld], None], *, bad: bool
) -> TwinUploadWorld:
    """Run the scenario to its end, with something done to it at one step."""
    world = scenario(faults, bad=bad)
    world.hook = lambda step, _: disturb(world) if step == number else None
    world.run()
    return world


@pytest.mark.parametrize(("faults", "bad"), CASES)
def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(faults: str, *, bad: bool) -> None:
    """Before, within and after every write, read and call: the next turn goes on from the table."""
    for number in range(1, steps_of(faults, bad=bad) + 1):
        world = disturbed(faults, number, TwinUploadWorld.kill, bad=bad)
        world.check()


@pytest.mark.parametrize(("faults", "bad"), CASES)
def test_two_crashes_are_no_worse_than_one(faults: str, *, bad: bool) -> None:
    """What goes on after a crash may crash in its turn."""
    for number in range(1, steps_of(faults, bad=bad) + 1, 3):
        world = scenario(faults, bad=bad)
        kills = {number, number + 1 + number % 17}
        world.hook = lambda step, _, world=world, kills=kills: (  # type: ignore[misc]
            world.kill() if step in kills else None
        )
        world.run()
        world.check()


@pytest.mark.parametrize(("faults", "bad"), CASES)
def test_a_second_turn_at_any_step_of_the_first_changes_nothing(faults: str, *, bad: bool) -> None:
    """Two invocations at once for a distribution: one of them leaves."""
    for number in range(1, steps_of(faults, bad=bad) + 1):
        world = disturbed(faults, number, lambda world: world.turn("E1"), bad=bad)
        world.check()


@pytest.mark.parametrize(("faults", "bad"), CASES)
def test_a_turn_that_lost_its_lease_at_any_step_can_do_no_harm(faults: str, *, bad: bool) -> None:
    """It was stopped past its expiry, another one has done the work, and now it goes on."""

    def overtake(world: TwinUploadWorld) -> None:
        world.clock.jump(LEASE_S + 1)
        world.turn("E1")

    for number in range(1, steps_of(faults, bad=bad) + 1):
        world = disturbed(faults, number, overtake, bad=bad)
        world.check()


@pytest.mark.parametrize(("faults", "bad"), CASES)
def test_a_turn_overtaken_by_one_that_crashed_can_do_no_harm(faults: str, *, bad: bool) -> None:
    """Of the second turn only a part was done when it died."""
    for number in range(1, steps_of(faults, bad=bad) + 1, 2):
        world = scenario(faults, bad=bad)

        def overtake(step: int, _: str, world: TwinUploadWorld = world, at: int = number) -> None:
            if step == at:
                world.clock.jump(LEASE_S + 1)
                world.half_a_turn("E1", steps=5 + at % 40)

        world.hook = overtake
        world.run()
        world.check()


def test_the_scenario_has_what_it_is_to_prove() -> None:
    """Calls that were refused, that were made without an answer, halves, and wildcards."""
    outcomes = set()
    for faults, bad in [(name, bad) for name in FAULTS for bad in (False, True)]:
        world = scenario(faults, bad=bad)
        world.run()
        outcomes |= {str(outcome) for outcome in world.measures.outcomes}
        assert world.measures.collected_["repeated"] == 2
        assert {name for name, _ in world.table.asides} == ({"E1", "E2"} if bad else set())
        assert [one.path for one in world.table.asides.values()] == ["/bad.png"] * (2 * bad)
    assert outcomes == {"made", "unknown", "throttled", "full", "bad-paths"}


def test_a_message_that_comes_again_after_a_crash_wakes_as_well() -> None:
    """Its rows were written, and nobody was told: the repetition does not wait for the sweep."""
    world = TwinUploadWorld(SITES)
    body = f'{{"Records":[{record(BUCKET, "a.png", world.clock.wall(), "0A")}]}}'
    world.hook = lambda _, name: world.kill() if name == "wake" else None
    world.deliver_bodies([body])
    with pytest.raises(AssertionError, match="for ever"):
        world.run(at_most_s=1)
    world.hook = lambda _number, _name: None
    world.run()
    assert (world.cloudfront.called_at[0] - world.clock.wall()).total_seconds() < 0
    world.check()
