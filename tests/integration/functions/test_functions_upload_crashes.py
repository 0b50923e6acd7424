"""The way from an upload to its invalidation is killed at every call of the shipped adapters.

What a crash tests is what is written together and in which order; the twins of the table know that
only as far as somebody thought of it. Here the rows and the transactions are MiniStack's.
"""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from functions.domain.sites import Sites
from lab.edge.controls import Fault
from tests.integration.functions.emulated_uploads import EmulatedWorld
from tests.integration.functions.stepped_clients import MiniStack, SteppedClients
from tests.twins.upload_world import site

BUCKET = "shop-bucket"
SITES = Sites.of([site()])

pytestmark = pytest.mark.slow


@pytest.fixture
def clients() -> Iterator[SteppedClients]:
    """Return clients of an empty DynamoDB and an empty SQS."""
    with MiniStack() as ministack:
        yield SteppedClients(ministack)


def refused(clients: SteppedClients) -> EmulatedWorld:
    """Throttled first; then one of two paths is bad, so that they are halved. One comes twice."""
    world = EmulatedWorld(SITES, clients, f"uploads-{uuid4()}")
    world.cloudfront.inject(Fault.THROTTLE)
    world.cloudfront.bad_paths.add("/bad.png")
    first = world.upload(BUCKET, "a.png")
    world.deliver([first, world.upload(BUCKET, "bad.png", 0.1)], 0.2)
    world.come(BUCKET, "a.png", 0.4)
    return world


def silent(clients: SteppedClients) -> EmulatedWorld:
    """Made without an answer, asked for again, throttled; of paths that were refused once."""
    world = EmulatedWorld(SITES, clients, f"uploads-{uuid4()}")
    world.rows.set_aside("/", "/index.html")
    world.cloudfront.inject(Fault.HANG_AFTER, Fault.THROTTLE)
    world.come(BUCKET, "index.html", 0.2)
    return world


SCENARIOS = {"refused": refused, "silent": silent}


def ended(world: EmulatedWorld) -> EmulatedWorld:
    """Return a world once nothing is left to do in it, and all is as it should be."""
    world.run()
    world.check()
    return world


def crashes(scenario: str, clients: SteppedClients) -> dict[int, str]:
    """Return the steps at which to kill, and what each is: every crash that is unlike the others.

    Two steps between which nothing was written, asked for or waited for leave the same rows to the
    next turn, and nothing else outlives a process: the first stands for both. Such are the two
    sides of a read, or what was written and not heard of and the next call that was not sent.
    """
    world = SCENARIOS[scenario](clients)
    first: dict[tuple[object, ...], int] = {}
    names: list[str] = []

    def note(number: int, name: str) -> None:
        first.setdefault(world.left_behind, number)
        names.append(name)

    world.hook = note
    ended(world)
    calls = len(names) // 2
    print(f"{scenario}: {calls} calls, {len(names)} steps, {len(first)} crashes")  # noqa: T201 - for -s
    return {
        number: f"{names[number - 1]}, step {number} of {len(names)}" for number in first.values()
    }


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_crash_at_any_call_loses_nothing_and_doubles_nothing(
    scenario: str, clients: SteppedClients
) -> None:
    """Not sent, or carried out and not heard of: the next turn goes on from the rows."""
    for number, name in crashes(scenario, clients).items():
        world = SCENARIOS[scenario](clients)
        world.hook = lambda step, _, world=world, number=number: (  # type: ignore[misc]
            world.kill() if step == number else None
        )
        try:
            ended(world)
        except Exception as error:
            error.add_note(f"killed at {name}")
            raise


def test_the_scenarios_have_what_they_are_to_prove(clients: SteppedClients) -> None:
    """Every kind of answer, halves of which one is set aside, and paths that are forgiven."""
    bad, unheard = ended(refused(clients)), ended(silent(clients))
    outcomes = bad.measures.outcomes + unheard.measures.outcomes
    assert {str(one) for one in outcomes} == {"made", "throttled", "bad-paths", "unknown"}
    assert bad.measures.collected_["changes"] == 3
    assert [len(paths) for _, paths in bad.asking.asked] == [2, 2, 1, 1]
    assert [name for name, _ in unheard.asking.asked] == [unheard.asking.asked[0][0]] * 3
    assert list(bad.rows.asides) == [("E1", "/bad.png")]
    assert not unheard.rows.asides
