"""A batch's life, step by step: which event leads where, and what is to be done then."""

from collections.abc import Sequence
from itertools import product

import pytest

from functions.domain import batch as batch_module
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

MADE = Made("I1", EPOCH)

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
    return Batch(HERE, "b1", paths, state)


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
        Store(Batch(HERE, "b1.1", ("/a", "/b"))),
        Store(Batch(HERE, "b1.2", ("/~",))),
    ]
    asked, _ = step(Batch(HERE, "b1.2", ("/~",)), Ask())
    _, effects = step(asked, Refused(Meaning.BAD_PATHS, "invalid"))
    assert effects == [SetAside("/~", "invalid")]


def test_a_taken_reference_is_looked_up_before_anything_is_sent_again() -> None:
    """It is ours, from a call whose answer was lost; only when it is not found are paths freed."""
    asked, _ = step(batch("/a"), Ask())
    unknown, effects = step(asked, Refused(Meaning.REFERENCE_TAKEN, "used"))
    assert (unknown.state, effects) == (BatchState.UNKNOWN, [LookUp(asked.reference, ("/a",))])
    answered, effects = step(unknown, MADE)
    assert (answered.created_at, effects) == (EPOCH, [])
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
    assert (answered.invalidation_id, answered.created_at) == ("I1", EPOCH)
    for event in EVENTS:
        assert step(answered, event) == (answered, [])
