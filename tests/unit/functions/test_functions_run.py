"""The laws of a whole run, against a host that runs the real host machine."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.errors import (
    RunFailedError,
    SnapshotUnknownError,
)
from functions.domain.runs import RunState
from functions.domain.verdict import Verdict
from functions.run import RESERVE_MS
from holdstill_protocol.messages import Lock
from tests.twins.host import TwinHost
from tests.twins.world import TwinWorld

RUN = "recipes-db.20261125T180000Z"


def test_an_ordinary_run_ends_consistent_and_recorded() -> None:
    """The snapshot, its tags, the record and the metrics all say so, and the lease is free."""
    world = TwinWorld()
    world.back_up()
    (made,) = world.ec2.made
    assert made.tags["holdstill:run-id"] == f"{RUN}.1"
    assert made.tags["holdstill:position"] == "mysql-bin.000007:4711"
    assert world.verdict_tags == ["consistent"]
    assert world.record["state"] == RunState.SUCCEEDED
    assert world.record["verdict"] == Verdict.CONSISTENT
    assert "open_sk" not in world.record
    assert world.leases.rows == {}
    assert [run.verdict for run in world.measures.runs] == [Verdict.CONSISTENT]


def test_the_record_holds_the_whole_position() -> None:
    """The GTID set, too long for a tag, is in the run's record."""
    world = TwinWorld()
    world.back_up()
    assert world.measures.attempts[0].evidence.frozen
    assert "'gtid': '0-1-42'" in str(world.record["attempts"])


def test_a_schedule_that_fires_twice_makes_one_run() -> None:
    """The second invocation does nothing, and that is no error."""
    world = TwinWorld()
    world.back_up(invocation="one")
    world.back_up(invocation="two")
    assert len(world.ec2.made) == 1
    assert world.log.names[-1] == "run-exists"
    assert world.host.frozen_count == 1


def test_nothing_happens_between_frozen_and_the_call_nor_between_its_return_and_the_thaw() -> None:
    """A database is locked: no log, no table, no queue but the thaw."""
    world = TwinWorld()
    world.host.repeats = True
    world.host.inbox.append("noise")
    world.back_up()
    assert world.trace.between("send freeze", "call") == ["receive frozen frozen"]
    assert world.trace.between("call", "send thaw") == []


def test_a_broken_hold_makes_it_crash_consistent_and_the_run_an_error() -> None:
    """The tag says so, the record says so, and so does the invocation."""
    world = TwinWorld()
    world.host.intact = False
    with pytest.raises(RunFailedError, match="not-intact"):
        world.back_up(attempts=1)
    assert world.verdict_tags == ["crash-consistent"]
    assert world.record["state"] == RunState.FAILED
    assert not any(run.succeeded for run in world.measures.runs)


def test_the_host_deadline_makes_it_crash_consistent() -> None:
    """A call that returns after the host gave up has proven nothing."""
    world = TwinWorld()
    world.host.slow_freeze_ms = 3_000
    world.ec2.call_s = 7.5
    with pytest.raises(RunFailedError, match="host-thawed-by-deadline"):
        world.back_up(attempts=1)
    assert world.verdict_tags == ["crash-consistent"]


@pytest.mark.parametrize(
    ("lock", "freeze", "verdict"),
    [(Lock.NONE, True, "filesystem-consistent"), (Lock.FTWRL, False, "lock-consistent")],
)
def test_the_best_that_a_host_allows_is_a_success(lock: Lock, freeze: bool, verdict: str) -> None:
    """Whoever configures a host without lock or freeze gets no error, and no better word either."""
    world = TwinWorld()
    world.host = TwinHost(world.clock, world.trace, lock=lock, freeze=freeze)
    world.back_up()
    assert world.verdict_tags == [verdict]


def test_a_host_that_holds_nothing_is_not_snapshotted() -> None:
    """No run of it could ever succeed: nothing is made, and a sentence says what to set."""
    world = TwinWorld()
    world.host = TwinHost(world.clock, world.trace, lock=Lock.NONE, freeze=False)
    with pytest.raises(RunFailedError, match="plan-refused"):
        world.back_up(attempts=1)
    assert "neither lock nor freeze" in str(world.record["attempts"])
    assert world.ec2.made == []


def test_a_volume_that_slipped_in_makes_it_crash_consistent() -> None:
    """What EC2 returned is compared with what was expected."""
    world = TwinWorld()
    world.ec2.slips_in = ["vol-new"]
    with pytest.raises(RunFailedError, match="volumes-differ"):
        world.back_up(attempts=1)
    assert world.verdict_tags == ["crash-consistent", "crash-consistent"]


def test_attempts_are_within_the_limit_and_15_s_apart() -> None:
    """EC2 would refuse a second snapshot of a volume sooner."""
    world = TwinWorld()
    world.host.intact = False
    with pytest.raises(RunFailedError, match="attempts-spent"):
        world.back_up(attempts=3)
    assert len(world.ec2.called_at_ms) == 3
    assert all(later - sooner >= 15_000 for sooner, later in pairwise(world.ec2.called_at_ms))
    assert [made.tags["holdstill:run-id"] for made in world.ec2.made] == [
        f"{RUN}.1",
        f"{RUN}.2",
        f"{RUN}.3",
    ]


def test_a_later_attempt_mends_the_run() -> None:
    """A lock that could not be had at first, a second attempt that could: a success."""
    world = TwinWorld()
    world.host.lock_failures = 1
    world.back_up()
    assert world.verdict_tags == ["consistent"]
    first, second = world.measures.attempts
    assert first.judgement.reasons == ("no-snapshot", "host-refused-lock-timeout")
    assert second.succeeded


def test_no_attempt_is_begun_that_the_functions_time_could_not_end() -> None:
    """Time for thaw, verdict and release is reserved from the function's own limit."""
    world = TwinWorld()
    with pytest.raises(RunFailedError, match="out-of-time"):
        world.back_up(left_s=RESERVE_MS / 1000 + 20)
    assert world.host.frozen_count == 0
    assert world.record["state"] == RunState.FAILED


@dataclass(frozen=True)
class Trouble:
    """What goes wrong in a run."""

    seed: int
    call_s: float
    slow_freeze_ms: int
    loses: float
    repeats: bool
    answer_is_lost: bool


TROUBLE = st.builds(
    Trouble,
    seed=st.integers(0, 2**16),
    call_s=st.floats(0, 12),
    slow_freeze_ms=st.integers(0, 9_000),
    loses=st.sampled_from([0, 0.1, 0.3]),
    repeats=st.booleans(),
    answer_is_lost=st.booleans(),
)


@given(TROUBLE)
def test_whatever_happens_a_run_ends_and_only_what_held_is_called_consistent(
    trouble: Trouble,
) -> None:
    """Slow calls, slow freezes, messages lost, doubled and shuffled, an answer that never comes."""
    world = TwinWorld()
    world.host.random.seed(trouble.seed)
    world.host.repeats, world.host.loses = trouble.repeats, trouble.loses
    world.host.slow_freeze_ms, world.ec2.call_s = trouble.slow_freeze_ms, trouble.call_s
    if trouble.answer_is_lost:
        world.ec2.loses_answers = True
        world.ec2.faults = [SnapshotUnknownError("connection reset")]
    try:
        world.back_up()
    except RunFailedError:
        assert world.record["state"] == RunState.FAILED
    else:
        assert world.record["state"] == RunState.SUCCEEDED
        assert world.verdict_tags[-1] == "consistent"
    for made in world.ec2.made:
        assert made.held or made.tags["holdstill:verdict"] != "consistent"
    assert len(world.ec2.called_at_ms) <= world.host.frozen_count <= len(world.measures.attempts)
    assert all(later - sooner >= 15_000 for sooner, later in pairwise(world.ec2.called_at_ms))
    assert world.leases.rows == {}
