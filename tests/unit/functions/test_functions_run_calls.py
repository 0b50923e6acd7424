"""A run and EC2: what is asked before anything is held, calls of every outcome, verdict tags."""

from datetime import timedelta
from typing import Any

import pytest

from functions.adapters import clients
from functions.domain.errors import (
    RunFailedError,
    SnapshotRefusedError,
    SnapshotUnknownError,
)
from functions.domain.verdict import Verdict
from functions.domain.volumes import PastSnapshot
from holdstill_protocol.conductor_model import Snapshot
from tests.twins.ec2 import Made
from tests.twins.host import TwinHost
from tests.twins.world import TwinWorld

RUN = "recipes-db.20261125T180000Z"


def test_a_refused_call_thaws_and_makes_nothing() -> None:
    """Definitely no snapshot: nothing to reconcile, and the next attempt may come."""
    world = TwinWorld()
    world.ec2.faults = [SnapshotRefusedError("SnapshotCreationPerVolumeRateExceeded")]
    world.back_up()
    assert world.ec2.seen_by_reconcile == []
    assert world.verdict_tags == ["consistent"]
    assert [it.judgement.verdict for it in world.measures.attempts] == [None, "consistent"]


def test_an_unknown_outcome_is_reconciled_before_a_repeat() -> None:
    """The snapshot that a lost answer told of is found by its run's tag, however late EC2 lists."""
    world = TwinWorld()
    world.ec2.faults = [SnapshotUnknownError("timed out")]
    world.ec2.loses_answers = True
    world.ec2.lists_after_s = 40
    world.back_up()
    assert world.verdict_tags == ["crash-consistent", "consistent"]
    second_call = [place for place, name in enumerate(world.trace) if name == "call"][1]
    assert world.trace.index("look for snapshots") < second_call
    assert world.ec2.seen_by_reconcile[-1] == f"{RUN}.1"


def test_an_unknown_outcome_that_is_never_seen_stays_unproven() -> None:
    """A call that nobody listed for 90 s may be repeated; its own snapshot, if any, is unproven."""
    world = TwinWorld()
    world.ec2.faults = [SnapshotUnknownError("connection reset")]
    world.back_up()
    first, second = world.measures.attempts
    assert first.judgement.verdict is Verdict.UNPROVEN
    assert second.succeeded
    assert world.ec2.called_at_ms[1] - world.ec2.called_at_ms[0] > 80_000


@pytest.mark.parametrize("left_s", range(72, 102))
def test_an_ec2_that_hangs_leaves_time_for_the_record(left_s: int) -> None:
    """The last ask may begin when the time for asking ends: its answer is awaited a few seconds."""
    world = TwinWorld()
    world.ec2.faults = [SnapshotUnknownError("timed out")]
    world.ec2.lookups_fail, world.ec2.lookup_s = True, longest_answer_s(clients.ONCE)
    ends_at_ms = world.clock.now_ms + left_s * 1000
    with pytest.raises(RunFailedError, match="call-outcome-unknown"):
        world.back_up(attempts=1, left_s=left_s)
    assert ends_at_ms - world.clock.now_ms >= 8_000


def longest_answer_s(config: Any) -> float:
    """Return how long a client with this configuration can take to give up."""
    attempts: int = config.retries["total_max_attempts"]
    return attempts * float(config.connect_timeout + config.read_timeout)


def test_a_verdict_without_its_tag_is_no_success() -> None:
    """Nobody believes what the snapshot itself does not say."""
    world = TwinWorld()
    world.ec2.tags_fail = True
    with pytest.raises(RunFailedError, match="verdict-not-tagged"):
        world.back_up(attempts=1)
    assert world.verdict_tags == ["unproven"]
    assert world.record["verdict"] == Verdict.UNPROVEN


def test_a_snapshot_that_ec2_does_not_list_yet_is_tagged_when_it_does() -> None:
    """CreateTags may not know what CreateSnapshot has just returned."""
    world = TwinWorld()
    world.ec2.lists_after_s = 3
    world.back_up()
    assert world.verdict_tags == ["consistent"]


def test_the_dry_run_refuses_before_anything_is_held() -> None:
    """A missing permission is found while the database is free, and told in a sentence."""
    world = TwinWorld()
    world.ec2.dry_run_refusal = "the backup role may not call ec2:CreateSnapshot on vol-db"
    with pytest.raises(RunFailedError, match="plan-refused"):
        world.back_up(attempts=1)
    assert world.host.frozen_count == 0
    assert "may not call ec2:CreateSnapshot" in str(world.record["attempts"])


def test_a_young_snapshot_is_waited_for_before_anything_is_held() -> None:
    """EC2 wants 15 s between two snapshots of a volume; the host is not frozen for them."""
    world = TwinWorld()
    somebodys = {"holdstill:run-id": "somebody", "holdstill:verdict": "unproven"}
    world.ec2.made = [Made(Snapshot("snap-hand", "vol-db"), somebodys, world.clock.wall())]
    world.back_up()
    timings = world.measures.attempts[0].timings
    assert timings.plan_ms
    assert timings.plan_ms > 15_000


def test_a_volume_with_too_many_pending_snapshots_is_not_frozen_for() -> None:
    """They take minutes, longer than a prepared host waits: the attempt ends with the reason."""
    world = TwinWorld()
    pending = PastSnapshot("vol-db", world.clock.wall() - timedelta(hours=1), pending=True)
    world.ec2.pending = [pending] * 5
    with pytest.raises(RunFailedError, match="plan-refused"):
        world.back_up(attempts=1)
    assert "EC2 allows 5" in str(world.record["attempts"])
    assert world.host.frozen_count == 0


def test_a_budget_too_short_for_any_call_is_refused_with_what_to_do() -> None:
    """The host's budget is the host's: no message can raise it, so a sentence says who can."""
    world = TwinWorld()
    world.host = TwinHost(world.clock, world.trace, budget_ms=1_500)
    with pytest.raises(RunFailedError, match="plan-refused"):
        world.back_up(attempts=1)
    assert "raise budget_s" in str(world.record["attempts"])
