"""Batches against a CloudFront that remembers references and loses answers."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import assert_never

from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.batch import (
    Ask,
    Batch,
    BatchState,
    Call,
    Effect,
    Event,
    Free,
    LookUp,
    Made,
    Missing,
    Refused,
    SetAside,
    Store,
    Unanswered,
    step,
)
from functions.domain.invalidation_limits import Meaning
from tests.laws.upload_rows import HERE
from tests.twins.clock import EPOCH


@dataclass
class CloudFront:
    """Keeps the rules of references; `strict`: refuses a repeated one as users report."""

    strict: bool
    made: dict[str, tuple[str, ...]] = field(default_factory=dict)
    calls: int = 0

    def create(self, call: Call) -> Event:
        """Make the invalidation, once."""
        self.calls += 1
        before = self.made.get(call.reference)
        assert before in (None, call.paths), "a reference was used again with other paths"
        if any("~" in path for path in call.paths):
            return Refused(Meaning.BAD_PATHS, "invalid")
        if before is not None and self.strict:
            return Refused(Meaning.REFERENCE_TAKEN, "used before")
        self.made[call.reference] = call.paths
        return self.found(call.reference)

    def found(self, reference: str) -> Event:
        """Return what listing and getting would find."""
        if reference not in self.made:
            return Missing()
        place = list(self.made).index(reference)
        return Made(f"I{place}", EPOCH + timedelta(seconds=place))


REFUSALS = {
    "throttled": Meaning.THROTTLED,
    "full": Meaning.FULL,
    "forbidden": Meaning.FORBIDDEN,
}

FATES = (
    "answered",
    "crash before the call",
    "crash after the call",
    "made, no answer",
    "not made, no answer",
    "answered late",
    *REFUSALS,
)


@dataclass
class World:
    """The table, the paths that wait, and whoever holds the lease; a crash forgets all else."""

    cloudfront: CloudFront
    pool: list[str]
    rows: dict[str, Batch] = field(default_factory=dict)
    aside: dict[str, str] = field(default_factory=dict)
    late: list[tuple[str, Event]] = field(default_factory=list)
    planned: int = 0

    def plan(self, most: int) -> None:
        """Store a batch of what waits."""
        if not self.pool:
            return
        paths, self.pool = tuple(self.pool[:most]), self.pool[most:]
        self.planned += 1
        stored = Batch(HERE, f"b{self.planned}", paths)
        self.rows[stored.batch_id] = stored

    def tell(self, batch_id: str, event: Event) -> list[Effect]:
        """Write the new state with the paths it lets go; return what is to be done after."""
        self.rows[batch_id], effects = step(self.rows[batch_id], event)
        after: list[Effect] = []
        for effect in effects:
            match effect:
                case Free(paths):
                    self.pool += paths
                case Store(part):
                    assert part.batch_id not in self.rows
                    self.rows[part.batch_id] = part
                case SetAside(path, why):
                    self.aside[path] = why
                case Call() | LookUp():
                    after.append(effect)
                case _:
                    assert_never(effect)
        return after

    def turn(self, fate: str) -> None:
        """Ask for the oldest batch that is not over; something befalls the call."""
        batch_id = next((name for name, row in self.rows.items() if not row.over), None)
        if batch_id is None:
            return
        (call,) = self.tell(batch_id, Ask())
        assert isinstance(call, Call)
        if fate == "crash before the call":
            return
        if fate in REFUSALS:
            event: Event = Refused(REFUSALS[fate], fate)
        elif fate == "not made, no answer":
            event = Unanswered()
        else:
            event = self.cloudfront.create(call)
            if fate == "crash after the call":
                return
            if fate == "answered late":
                self.late.append((batch_id, event))
                return
            if fate == "made, no answer":
                event = Unanswered()
        for effect in self.tell(batch_id, event):
            assert isinstance(effect, LookUp)
            self.tell(batch_id, self.cloudfront.found(effect.reference))

    def settle_late(self) -> None:
        """Let the callers who had lost their turn report."""
        for batch_id, event in self.late:
            self.tell(batch_id, event)
        self.late.clear()

    def places(self) -> list[str]:
        """Return every path from wherever it is now."""
        going = [path for row in self.rows.values() for path in row.paths]
        gone = [p for r in self.rows.values() if r.state is BatchState.REFUSED for p in r.paths]
        for path in gone:
            going.remove(path)
        return sorted([*self.pool, *going, *self.aside])


turns = st.lists(
    st.one_of(
        st.integers(1, 5).map(lambda most: ("plan", most)),
        st.sampled_from(FATES).map(lambda fate: ("turn", fate)),
        st.sampled_from(FATES).map(lambda fate: ("turn", fate)),
        st.just(("late", "")),
    ),
    min_size=10,
    max_size=40,
)


@settings(max_examples=400, deadline=None)
@given(
    paths=st.lists(
        st.from_regex(r"/[ab~]{1,3}\*?", fullmatch=True), min_size=1, max_size=9, unique=True
    ),
    script=turns,
    strict=st.booleans(),
)
def test_whatever_happens_no_path_is_lost_and_none_is_cleared_twice(
    paths: list[str], script: list[tuple[str, int | str]], strict: bool
) -> None:
    """Crashes, lost and late answers, refusals: each path is in one place, and in the end made.

    A reference is never used with other paths (the CloudFront here says so), each good path is in
    exactly one invalidation, and each bad one is set aside with its reason.
    """
    world = World(CloudFront(strict), list(paths))
    for what, detail in script:
        match what, detail:
            case "plan", int(most):
                world.plan(most)
            case "turn", str(fate):
                world.turn(fate)
            case _:
                world.settle_late()
        assert world.places() == sorted(paths)
    for _ in range(60):
        world.plan(9)
        world.turn("answered")
    world.settle_late()
    assert world.places() == sorted(paths)
    assert not world.pool
    assert all(row.over for row in world.rows.values())
    cleared = sorted(path for made in world.cloudfront.made.values() for path in made)
    assert cleared == sorted(path for path in paths if "~" not in path)
    assert world.aside == {path: "invalid" for path in paths if "~" in path}
    for row in world.rows.values():
        if row.state is BatchState.ANSWERED:
            assert world.cloudfront.made[row.reference] == row.paths
