"""What a table of runs and leases must keep to, be it DynamoDB's or in memory."""

from dataclasses import replace
from datetime import timedelta

from functions.domain.requests import BackupRequest
from functions.domain.runs import AttemptRecord, EndedRun, OpenRun, OverdueRun
from functions.ports import Leases, Runs
from holdstill_protocol.conductor_model import Snapshot
from tests.twins.clock import EPOCH
from tests.twins.world import TwinWorld, request

LATER = EPOCH + timedelta(minutes=16)


def opened(invocation: str = "one", of: BackupRequest | None = None) -> OpenRun:
    """Return a run that must have ended a minute before LATER."""
    return OpenRun(of or request(), invocation, EPOCH, LATER - timedelta(minutes=1))


def ended(run: OpenRun) -> EndedRun:
    """Return the run with the attempts that an ordinary one makes, positions and all."""
    world = TwinWorld()
    world.back_up()
    return EndedRun(run, LATER, tuple(world.measures.attempts))


def talkative(gtid: str, attempts: int) -> tuple[AttemptRecord, ...]:
    """Return so many ordinary attempts, each with that GTID set."""
    world = TwinWorld()
    world.back_up()
    (ordinary,) = world.measures.attempts
    frozen = ordinary.evidence.frozen
    assert frozen
    assert frozen.position
    frozen = replace(frozen, position=replace(frozen.position, gtid=gtid))
    evidence = replace(ordinary.evidence, frozen=frozen)
    return tuple(
        replace(ordinary, run_id=request().run_id(number), evidence=evidence)
        for number in range(1, attempts + 1)
    )


class RunLaws:
    """Subclasses have a fixture `runs`: an empty table."""

    def test_one_invocation_has_the_run(self, runs: Runs) -> None:
        """A second one is told that it exists."""
        assert runs.open(opened("one"))
        assert not runs.open(opened("two"))

    def test_a_repeated_write_is_the_same_write(self, runs: Runs) -> None:
        """When AWS's answer is lost the SDK repeats, and must not take itself for another."""
        run = opened()
        assert runs.open(run)
        assert runs.open(run)
        assert runs.end(ended(run))
        assert runs.end(ended(run))
        dead = opened(of=replace(request(), target="billing-db"))
        assert runs.open(dead)
        assert runs.abandon(overdue(dead), LATER, [])
        assert runs.abandon(overdue(dead), LATER, [])
        assert not runs.abandon(overdue(dead), LATER + timedelta(minutes=5), [])

    def test_each_scheduled_time_and_each_target_has_a_run_of_its_own(self, runs: Runs) -> None:
        """The key is both."""
        assert runs.open(opened())
        assert runs.open(opened(of=replace(request(), scheduled_at=LATER)))
        assert runs.open(opened(of=replace(request(), target="billing-db")))

    def test_a_run_is_overdue_from_its_deadline_until_it_ends(self, runs: Runs) -> None:
        """Only open runs are in the index, by their deadline."""
        run = opened()
        runs.open(run)
        assert list(runs.overdue(EPOCH)) == []
        assert list(runs.overdue(LATER)) == [overdue(run)]
        runs.end(ended(run))
        assert list(runs.overdue(LATER)) == []

    def test_another_invocation_cannot_end_a_run(self, runs: Runs) -> None:
        """Whoever opened it ends it."""
        runs.open(opened("one"))
        assert not runs.end(ended(opened("two")))

    def test_an_abandoned_run_stays_abandoned(self, runs: Runs) -> None:
        """A conductor that was taken for dead is told so, and cannot write over it."""
        run = opened()
        runs.open(run)
        assert runs.abandon(overdue(run), LATER, [Snapshot("snap-1", "vol-db")])
        assert not runs.end(ended(run))
        assert list(runs.overdue(LATER)) == []

    def test_a_run_that_ended_is_not_abandoned(self, runs: Runs) -> None:
        """The index may list what has ended since."""
        run = opened()
        runs.open(run)
        runs.end(ended(run))
        assert not runs.abandon(overdue(run), LATER, [])


class LeaseLaws:
    """Subclasses have a fixture `leases`: an empty table."""

    def test_a_lease_is_exclusive(self, leases: Leases) -> None:
        """One owner a target; another target's is another lease."""
        assert leases.take("recipes-db", "one", EPOCH, LATER)
        assert not leases.take("recipes-db", "two", EPOCH, LATER)
        assert leases.take("billing-db", "two", EPOCH, LATER)

    def test_a_lease_expires(self, leases: Leases) -> None:
        """After its expiry anybody may take it, and then the first owner has it no more."""
        leases.take("recipes-db", "one", EPOCH, LATER)
        after = LATER + timedelta(seconds=1)
        assert leases.take("recipes-db", "two", after, after + timedelta(minutes=3))
        assert not leases.renew("recipes-db", "one", after + timedelta(hours=1))
        assert not leases.release("recipes-db", "one")
        assert leases.alive("recipes-db", "two", after)

    def test_a_renewed_lease_lives_on(self, leases: Leases) -> None:
        """Its expiry is put off."""
        leases.take("recipes-db", "one", EPOCH, LATER)
        assert leases.renew("recipes-db", "one", LATER + timedelta(minutes=3))
        assert not leases.take("recipes-db", "two", LATER + timedelta(minutes=2), LATER)
        assert leases.alive("recipes-db", "one", LATER + timedelta(minutes=2))

    def test_a_released_lease_is_free_and_cannot_be_renewed(self, leases: Leases) -> None:
        """Nobody has what was given back."""
        leases.take("recipes-db", "one", EPOCH, LATER)
        assert leases.release("recipes-db", "one")
        assert not leases.renew("recipes-db", "one", LATER)
        assert not leases.alive("recipes-db", "one", EPOCH)
        assert leases.take("recipes-db", "two", EPOCH, LATER)

    def test_taking_again_is_the_same_take(self, leases: Leases) -> None:
        """The SDK repeats a write whose answer was lost."""
        assert leases.take("recipes-db", "one", EPOCH, LATER)
        assert leases.take("recipes-db", "one", EPOCH, LATER)


def overdue(run: OpenRun) -> OverdueRun:
    """Return the run as the index lists it."""
    return OverdueRun(
        run.request.target, "2026-11-25T18:00:00Z", run.request.name, "2026-11-25T18:15:00Z"
    )
