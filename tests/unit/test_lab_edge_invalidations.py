"""CloudFront's rules for a batch: references, limits, the budget of calls."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.edge.budget import CallBudget
from lab.edge.controls import Controls, Fault
from lab.edge.invalidations import Batch, Invalidation, Invalidations, Load, Moment
from lab.edge.refusals import RefusedError

CONTROLS = Controls(effect_s=5, completion_s=25)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def create(
    known: Invalidations,
    reference: str,
    *paths: str,
    now_s: float = 0,
    controls: Controls = CONTROLS,
) -> Invalidation:
    """Create an invalidation with an id of its own."""
    moment = Moment(now_s, EPOCH + timedelta(seconds=now_s))
    made, _ = known.create(Batch(reference, paths), f"I{len(known.all)}", moment, controls)
    return made


def refusal(known: Invalidations, reference: str, *paths: str, now_s: float = 0) -> str:
    """Return the code with which a batch is refused; nothing may come of it."""
    before = dict(known.all), known.total, known.highest
    with pytest.raises(RefusedError) as refused:
        create(known, reference, *paths, now_s=now_s)
    assert before == (dict(known.all), known.total, known.highest)
    return refused.value.code


def test_a_repeated_call_returns_the_first_invalidation() -> None:
    """With its time and its id, whatever is in progress, also when it is long completed."""
    known = Invalidations()
    first = create(known, "r", "/a", "/b*")
    again = create(known, "r", "/a", "/b*", now_s=1000)
    assert again is first
    assert (first.created_at, first.status(24.9), first.status(25)) == (
        EPOCH,
        "InProgress",
        "Completed",
    )
    assert known.total == Load(1, 1)
    assert known.in_progress(1000) == Load()


def test_a_reference_is_for_one_batch() -> None:
    """Other paths, fewer, in another order: refused, for ever."""
    known = Invalidations()
    create(known, "r", "/a", "/b")
    for paths in (["/c"], ["/a"], ["/b", "/a"], ["/a", "/b", "/c"]):
        assert refusal(known, "r", *paths, now_s=10**6) == "InvalidationBatchAlreadyExists"


def test_exact_paths_and_wildcards_are_limited_apart() -> None:
    """3,000 and 15 in progress; a full side does not close the other, and completion reopens."""
    known = Invalidations()
    create(known, "exact", *(f"/{n}" for n in range(3000)))
    assert refusal(known, "one more", "/more") == "TooManyInvalidationsInProgress"
    create(known, "wild", *(f"/{n}*" for n in range(15)), now_s=1)
    assert refusal(known, "one more", "/more*", now_s=24.9) == "TooManyInvalidationsInProgress"
    assert known.highest == known.in_progress(24.9) == Load(3000, 15)
    create(known, "one more", "/more", now_s=25)
    assert known.in_progress(25) == Load(1, 15)
    assert known.highest == Load(3000, 15)


def test_a_batch_is_accepted_whole_or_not_at_all() -> None:
    """One bad path, or one too many of either kind, refuses the batch."""
    known = Invalidations()
    assert refusal(known, "r", "/a", "b") == "InvalidArgument"
    assert refusal(known, "r") == "InvalidArgument"
    assert refusal(known, "", "/a") == "InvalidArgument"
    assert refusal(known, "r", *["/a"] * 3001) == "BatchTooLarge"
    assert refusal(known, "r", "/a", *["/a*"] * 16) == "TooManyInvalidationsInProgress"
    create(known, "r", "/a")


def test_without_limits_only_the_limits_are_gone() -> None:
    """A comparison may exceed them, and is still counted."""
    known = Invalidations()
    for n in range(4):
        create(known, f"{n}", *["/a"] * 3000, controls=replace(CONTROLS, limits=False))
    assert known.highest == Load(12000)


def test_pages_are_newest_first() -> None:
    """Each invalidation comes once, and the last page says so."""
    known = Invalidations()
    ids = [create(known, f"{n}", "/a").id for n in range(5)]
    first, more = known.page("", 3)
    rest, no_more = known.page(first[-1].id, 3)
    assert [one.id for one in [*first, *rest]] == ids[::-1]
    assert (more, no_more) == (True, False)


def take(budget: CallBudget, now_s: float) -> bool:
    """Make a call on CloudFront's terms."""
    return budget.take(now_s, calls_per_s=0.5, burst=6)


def test_a_rested_account_has_its_burst_and_then_the_rate() -> None:
    """Six in a row, the seventh is throttled; then one every 2 s, and never more than six."""
    budget = CallBudget()
    assert [take(budget, 100) for _ in range(7)] == [True] * 6 + [False]
    assert [take(budget, 101.9), take(budget, 102), take(budget, 102)] == [False, True, False]
    assert sum(take(budget, 10**6) for _ in range(20)) == 6


@given(st.lists(st.floats(0, 3), max_size=200))
def test_no_window_has_more_calls_than_burst_and_rate(pauses: list[float]) -> None:
    """Whatever the pauses: accepted calls in any window stay within burst + rate x window."""
    budget, now_s, accepted = CallBudget(), 0.0, []
    for pause in pauses:
        now_s += pause
        if take(budget, now_s):
            accepted.append(now_s)
    for begin, first in enumerate(accepted):
        for end, last in enumerate(accepted[begin:], begin):
            assert end - begin + 1 <= 6 + 0.5 * (last - first) + 1e-6


def test_a_fault_hits_as_often_as_it_is_told() -> None:
    """Then all is well again; an unknown setting is an error and not a silence."""
    controls = Controls().changed({"fault": "hang", "fault_times": 2})
    assert controls.after_a_hit().fault is Fault.HANG
    assert controls.after_a_hit().after_a_hit().fault is None
    with pytest.raises(ValueError, match="unknown settings: falt"):
        Controls().changed({"falt": "hang"})
