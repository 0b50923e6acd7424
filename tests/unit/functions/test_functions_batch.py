"""A batch's life, against a CloudFront that remembers references and loses answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import assert_never

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain import batch as batch_module
from functions.domain.batch import (
    MAX_REFERENCE,
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
    caller_reference,
    step,
)
from functions.domain.invalidation_limits import Meaning

BEGUN = datetime(2026, 11, 25, 18, tzinfo=UTC)
DISTRIBUTION = "E1EXAMPLE"
MADE = Made("I1", BEGUN)
EVENTS: list[Event] = [
    Ask(),
    MADE,
    Unanswered(),
    Missing(),
    *(Refused(meaning, "because") for meaning in Meaning),
]
OVER = (BatchState.ANSWERED, BatchState.REFUSED)


def batch(*paths: str, state: BatchState = BatchState.STORED) -> Batch:
    """Return a batch of these paths."""
    return Batch(DISTRIBUTION, "b1", paths, state)


@pytest.mark.parametrize(("state", "event"), list(product(BatchState, EVENTS)))
def test_every_event_has_an_outcome_in_every_state(state: BatchState, event: Event) -> None:
    """The paths never change, and nothing is done for a batch that is over."""
    before = batch("/a", "/b", state=state)
    after, effects = step(before, event)
    assert (after.paths, after.reference) == (before.paths, before.reference)
    if state in OVER:
        assert (after, effects) == (before, [])
    if after.state is BatchState.REFUSED and state is not BatchState.REFUSED:
        assert sorted(_let_go(effects)) == ["/a", "/b"]
    else:
        assert _let_go(effects) == []


def test_the_table_is_what_the_machine_does() -> None:
    """Whoever reads the module's table knows every transition."""
    busy = [Meaning.THROTTLED, Meaning.FULL, Meaning.FORBIDDEN]
    columns: list[list[Event]] = [
        [Ask()],
        [MADE],
        [Refused(meaning, "") for meaning in busy],
        [Refused(Meaning.BAD_PATHS, "")],
        [Refused(Meaning.REFERENCE_TAKEN, "")],
        [Unanswered(), Refused(Meaning.UNKNOWN, "")],
        [Missing()],
    ]
    does = {Call: "", Free: ", freed", Store: ", halved", LookUp: ", looked up"}
    lines = [line for line in (batch_module.__doc__ or "").splitlines() if line.startswith("| ")]
    for line, state in zip(lines[1:], BatchState, strict=True):
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert name == state
        for cell, events in zip(cells, columns, strict=True):
            for event in events:
                before = batch("/a", "/b", state=state)
                after, effects = step(before, event)
                done = f"{after.state}{does[type(effects[0])] if effects else ''}"
                assert cell == ("-" if (after, effects) == (before, []) else done), (name, event)


def _let_go(effects: Sequence[Effect]) -> list[str]:
    paths: list[str] = []
    for effect in effects:
        match effect:
            case Free(freed):
                paths += freed
            case Store(part):
                paths += part.paths
            case SetAside(path):
                paths.append(path)
            case Call() | LookUp():
                pass
    return paths


@pytest.mark.parametrize("meaning", [Meaning.THROTTLED, Meaning.FULL, Meaning.FORBIDDEN])
def test_a_refusal_frees_only_what_no_earlier_call_may_have_made(meaning: Meaning) -> None:
    """A refusal of a repeated call says nothing of the first one, whose answer was lost."""
    asked, _ = step(batch("/a"), Ask())
    refused, effects = step(asked, Refused(meaning, "no"))
    assert (refused.state, effects) == (BatchState.REFUSED, [Free(("/a",), "no")])
    unknown, _ = step(asked, Unanswered())
    asked_again, _ = step(unknown, Ask())
    assert step(asked_again, Refused(meaning, "no")) == (unknown, [])
    crashed_and_asked_again, _ = step(asked, Ask())
    assert step(crashed_and_asked_again, Refused(meaning, "no")) == (unknown, [])


def test_bad_paths_are_halved_down_to_the_one_that_is_set_aside() -> None:
    """Each half is a batch of its own with an id of its own, which follows from the first."""
    asked, _ = step(batch("/a", "/b", "/~"), Ask())
    refused, effects = step(asked, Refused(Meaning.BAD_PATHS, "invalid"))
    assert refused.state is BatchState.REFUSED
    assert effects == [
        Store(Batch(DISTRIBUTION, "b1.1", ("/a", "/b"))),
        Store(Batch(DISTRIBUTION, "b1.2", ("/~",))),
    ]
    asked, _ = step(Batch(DISTRIBUTION, "b1.2", ("/~",)), Ask())
    _, effects = step(asked, Refused(Meaning.BAD_PATHS, "invalid"))
    assert effects == [SetAside("/~", "invalid")]


def test_a_taken_reference_is_looked_up_before_anything_is_sent_again() -> None:
    """It is ours, from a call whose answer was lost; only when it is not found are paths freed."""
    asked, _ = step(batch("/a"), Ask())
    unknown, effects = step(asked, Refused(Meaning.REFERENCE_TAKEN, "used"))
    assert (unknown.state, effects) == (BatchState.UNKNOWN, [LookUp(asked.reference, ("/a",))])
    answered, effects = step(unknown, MADE)
    assert (answered.created_at, effects) == (BEGUN, [])
    asked_again, _ = step(unknown, Ask())
    assert step(asked_again, Missing()) == (asked_again, [])
    freed, effects = step(unknown, Missing())
    assert (freed.state, _let_go(effects)) == (BatchState.REFUSED, ["/a"])


@pytest.mark.parametrize("event", [event for event in EVENTS if event not in (Ask(), MADE)])
def test_before_it_is_asked_for_nothing_can_be_refused(event: Event) -> None:
    """Such a report is of no call for this batch."""
    assert step(batch("/a"), event) == (batch("/a"), [])


def test_an_answer_is_final() -> None:
    """Whatever a late caller reports of the same batch."""
    answered, _ = step(batch("/a", state=BatchState.ASKED_AGAIN), MADE)
    assert (answered.invalidation_id, answered.created_at) == ("I1", BEGUN)
    for event in EVENTS:
        assert step(answered, event) == (answered, [])


batch_names = st.tuples(st.sampled_from(["E1", "E12", "E2"]), st.text("12./", max_size=140))


@given(one=batch_names, other=batch_names)
def test_a_reference_is_one_batchs_alone(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Always the same of the same batch, never of two, and short."""
    assert len(caller_reference(*one)) <= MAX_REFERENCE
    assert (caller_reference(*one) == caller_reference(*other)) == (one == other)


def test_long_ids_that_differ_only_at_the_end_have_two_references() -> None:
    """A reference is never cut."""
    assert caller_reference("E1", "1" * 200 + "1") != caller_reference("E1", "1" * 200 + "2")


def test_references_can_be_read() -> None:
    """Whoever looks at an invalidation in the console sees which batch it was."""
    assert caller_reference("E1EXAMPLE", "b1.2") == "holdstill/E1EXAMPLE/b1.2"


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
        return Made(f"I{place}", BEGUN + timedelta(seconds=place))


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
        stored = Batch(DISTRIBUTION, f"b{self.planned}", paths)
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
