"""`holdstill invalidate --wait`: what it shows, and what ends it."""

from datetime import timedelta

import pytest

from functions.domain.errors import TableError
from functions.domain.invalidation_record import Aside
from tests.unit.cli.invalidate.commanded import World


def test_waiting_ends_when_every_distribution_is_completed(world: World) -> None:
    """And not before: each step is shown with its time."""
    steps = [world.batch, world.answer, world.complete]
    for distribution in ("E1EXAMPLE", "E2EXAMPLE"):
        world.clock.steps += [lambda step=step, name=distribution: step(name) for step in steps]  # type: ignore[misc]
    done = world.run("static", "img/b.png", "--yes", "--wait")
    assert done.exit_code == 0, done.output
    assert world.clock.steps == []
    assert done.stdout.splitlines()[-8:] == [
        "  +0.0 s  E1EXAMPLE  waiting",
        "  +0.0 s  E2EXAMPLE  waiting",
        "  +1.0 s  E1EXAMPLE  being asked for",
        "  +2.0 s  E1EXAMPLE  in progress (IE1EXAMPLE)",
        "  +3.0 s  E1EXAMPLE  completed (IE1EXAMPLE)",
        "  +4.0 s  E2EXAMPLE  being asked for",
        "  +5.0 s  E2EXAMPLE  in progress (IE2EXAMPLE)",
        "  +6.0 s  E2EXAMPLE  completed (IE2EXAMPLE)",
    ]


def test_waiting_for_what_cloudfront_refuses_fails(world: World) -> None:
    """Its reason is CloudFront's."""

    def refuse() -> None:
        for name in ("E1EXAMPLE", "E2EXAMPLE"):
            world.table.waiting[name].clear()
            at = world.clock.wall()
            world.table.asides[name, "/img/b.png"] = Aside(name, "/img/b.png", "bad path", at, ())

    world.clock.steps = [refuse]
    failed = world.run("static", "img/b.png", "--yes", "--wait")
    assert failed.exit_code == 1
    assert "CloudFront refuses some of it for good: bad path" in failed.output


def test_waiting_does_not_last_for_ever(world: World) -> None:
    """Nor does its end take anything back."""
    failed = world.run("shop", "site/b.png", "--yes", "--wait")
    assert failed.exit_code == 1
    assert "It goes on without this command" in failed.output
    assert world.clock.wall() - world.table.messages[0][0] < timedelta(minutes=16)
    assert world.texts("E3EXAMPLE") == ["/b.png"]


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), TableError("throttled")])
def test_who_stops_waiting_takes_nothing_back(world: World, fault: BaseException) -> None:
    """It is said, and the status is a failure's."""

    def stop() -> None:
        raise fault

    world.clock.steps = [stop]
    failed = world.run("shop", "site/b.png", "--yes", "--wait")
    assert failed.exit_code == 1
    assert "It goes on without this command" in failed.output
    assert world.texts("E3EXAMPLE") == ["/b.png"]
