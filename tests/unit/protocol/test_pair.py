"""The laws of a run, whatever the queue, the host, EC2 and the conductor do."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.domain.verdict import Verdict, judge
from holdstill_protocol import conductor_model, host_model
from tests.pair import (
    BUDGET_MS,
    LOCK_SLACK_MS,
    RELEASE_MS,
    TICK_MS,
    VOLUMES,
    Trouble,
    World,
)

TROUBLES = st.builds(
    Trouble,
    drop=st.sampled_from((0.0, 0.0, 0.1, 0.4)),
    repeat=st.sampled_from((0.0, 0.5)),
    repeat_late_ms=st.sampled_from((0, 30_000)),
    late_ms=st.sampled_from((5, 500, 20_000, 70_000)),
    agent_crash=st.sampled_from((0.0, 0.0, 0.005, 0.1)),
    agent_stall=st.sampled_from((0.0, 0.0, 0.05)),
    agent_stop=st.sampled_from((0.0, 0.0, 0.02)),
    conductor_crash=st.sampled_from((0.0, 0.0, 0.01)),
    fail=st.sampled_from((0.0, 0.0, 0.2)),
    slow=st.sampled_from((0.0, 0.0, 0.3)),
    meddle=st.sampled_from((0.0, 0.3)),
    skew=st.sampled_from((0.0, 0.0, 0.2)),
    call_ms=st.sampled_from((2_000, 10_000)),
    prepare_ms=st.sampled_from((10_000, 60_000)),
)
EXPLORE = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def play(random: Random, trouble: Trouble) -> tuple[World, list[conductor_model.Attempt]]:
    """Return the world as it ended, and the attempts whose conductor lived."""
    world = World(random, trouble)
    return world, world.run()


@EXPLORE
@given(st.randoms(use_true_random=False), TROUBLES)
def test_laws_of_a_run(random: Random, trouble: Trouble) -> None:
    """Budget kept, thaws obeyed, verdicts true, one freeze and one call a run, and an end."""
    assert_laws(*play(random, trouble))


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble(slow=0.9, late_ms=5_000, call_ms=2_000),
        Trouble(repeat=0.9, late_ms=500, repeat_late_ms=30_000, prepare_ms=10_000, slow=0.3),
        Trouble(repeat=0.9, repeat_late_ms=30_000, conductor_crash=0.1, slow=0.5),
    ],
    ids=[
        "calls that return after their thaw",
        "commands repeated after their expiry",
        "runs refused for one whose conductor died",
    ],
)
def test_laws_in_hard_corners(trouble: Trouble) -> None:
    """Where a machine without its guards was seen to break a law, which chance finds rarely."""
    for seed in range(250):
        assert_laws(*play(Random(seed), trouble))  # noqa: S311 - a simulation


def assert_laws(world: World, attempts: list[conductor_model.Attempt]) -> None:
    """Assert what holds of every world."""
    assert not world.disobeyed
    assert not world.begun_for_nobody

    for hold in world.holds:
        assert hold.unlocked_at is not None
        assert hold.unlocked_at - hold.locked_at <= BUDGET_MS + LOCK_SLACK_MS
        if hold.frozen_at is not None:
            assert hold.thawed_at is not None
            assert hold.thawed_at - hold.frozen_at <= BUDGET_MS

    frozen = [hold.run_id for hold in world.holds if hold.frozen_at is not None]
    assert len(frozen) == len(set(frozen))
    called = [call.run_id for call in world.calls]
    assert len(called) == len(set(called))

    assert isinstance(world.host.phase, host_model.Idle)
    for attempt in attempts:
        assert isinstance(attempt.phase, conductor_model.Ended)
        if judge(attempt.evidence, VOLUMES).verdict is Verdict.CONSISTENT:
            _assert_held_throughout_the_call(world, attempt.run_id)


@EXPLORE
@given(st.randoms(use_true_random=False), st.sampled_from((0.0, 0.3, 0.9)))
def test_the_machine_alone_keeps_the_budget(random: Random, drop: float) -> None:
    """Without the freezer's deadline and the server's, an agent that runs gives back in time."""
    trouble = Trouble(drop=drop, repeat=0.5, late_ms=20_000, fail=0.1, meddle=0.2, nets=False)
    world, _ = play(random, trouble)
    for hold in world.holds:
        assert hold.unlocked_at is not None
        assert hold.unlocked_at - hold.locked_at <= BUDGET_MS + TICK_MS + RELEASE_MS


def _assert_held_throughout_the_call(world: World, run_id: str) -> None:
    (hold,) = (hold for hold in world.holds if hold.run_id == run_id)
    (call,) = (call for call in world.calls if call.run_id == run_id)
    assert hold.frozen_at is not None
    assert call.returned_at is not None
    assert hold.thawed_at is not None
    assert hold.unlocked_at is not None
    assert hold.locked_at <= hold.frozen_at <= call.begun_at
    assert call.returned_at <= hold.thawed_at
    assert call.returned_at <= hold.unlocked_at


def test_a_kind_world_makes_consistent_snapshots() -> None:
    """With nothing in the way every attempt is consistent: the laws above are not empty."""
    for seed in range(50):
        _, attempts = play(Random(seed), Trouble())  # noqa: S311 - a simulation
        verdicts = [judge(attempt.evidence, VOLUMES).verdict for attempt in attempts]
        assert verdicts == [Verdict.CONSISTENT] * 2


def test_an_unkind_world_still_makes_some() -> None:
    """The troubles do not merely prevent every snapshot, which would keep every law too."""
    consistent = 0
    for seed in range(200):
        _, attempts = play(
            Random(seed),  # noqa: S311 - a simulation
            Trouble(drop=0.05, repeat=0.5, late_ms=500, agent_stall=0.01, fail=0.05),
        )
        verdicts = [judge(attempt.evidence, VOLUMES).verdict for attempt in attempts]
        consistent += verdicts.count(Verdict.CONSISTENT)
    assert consistent > 50


@pytest.mark.parametrize("model", [host_model, conductor_model])
def test_the_tables_list_the_transitions_that_happen(model: object) -> None:
    """The diagrams are drawn from the tables, so the tables are held against real runs."""
    seen: set[tuple[type, type]] = set()
    for seed in range(400):
        random = Random(seed)  # noqa: S311 - a simulation
        trouble = Trouble(
            drop=0.1 * (seed % 3),
            repeat=0.3,
            late_ms=(20, 2_000, 30_000)[seed % 3],
            agent_crash=0.0,
            fail=0.1,
            slow=0.3,
            agent_stall=0.02 * (seed % 2),
            agent_stop=0.01,
            conductor_crash=0.02 * (seed % 2),
        )
        seen |= play(random, trouble)[0].transitions
    table = {(before, after) for before, _, after in getattr(model, "TRANSITIONS")}  # noqa: B009
    phases = {phase for pair in table for phase in pair}
    happened = {(a, b) for a, b in seen if a is not b and a in phases}
    assert happened - table == set()
    never = {(a, b) for a, b in table if a is not b} - happened
    assert never == set()
