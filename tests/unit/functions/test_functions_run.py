"""The laws of a whole run, against a host that runs the real host machine."""

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.adapters import clients
from functions.domain.errors import (
    QueueError,
    RunFailedError,
    SnapshotRefusedError,
    SnapshotUnknownError,
    TableError,
)
from functions.domain.runs import RunState
from functions.domain.verdict import Verdict
from functions.domain.volumes import AttachedVolume, PastSnapshot
from functions.run import RESERVE_MS
from holdstill_protocol import codec
from holdstill_protocol.conductor_model import Snapshot
from holdstill_protocol.messages import Lock, RefusalCode, Refused, Thawed, ThawReason
from tests.twins.ec2 import Made
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


def test_the_lease_is_proven_before_every_freeze() -> None:
    """Between `prepared` and `freeze` the lease is renewed, under a condition."""
    world = TwinWorld()
    world.back_up()
    assert "renew lease" in world.trace.between("receive prepared", "send freeze")


def test_a_target_whose_lease_is_alive_is_busy() -> None:
    """Another run's target is not touched, and the run ends as an error."""
    world = TwinWorld()
    world.lend("recipes-db.20261125T170000Z", for_s=60)
    with pytest.raises(RunFailedError, match="busy"):
        world.back_up()
    assert world.record["reasons"] == ("busy",)
    assert world.record["state"] == RunState.FAILED
    assert not [name for name in world.trace if name.startswith("send")]
    assert "recipes-db" in world.leases.rows, "the other's lease is the other's"


def test_the_lease_of_a_dead_run_expires() -> None:
    """A conductor that died keeps nobody out for ever."""
    world = TwinWorld()
    world.lend("recipes-db.20261125T170000Z", for_s=60)
    world.clock.sleep(61)
    world.back_up()
    assert world.verdict_tags == ["consistent"]


def test_a_run_that_lost_its_lease_does_not_freeze() -> None:
    """Whoever has the lease has the host."""
    world = TwinWorld()
    world.ec2.volumes = LeaseThief(world)
    with pytest.raises(RunFailedError, match="plan-refused"):
        world.back_up(attempts=1)
    assert world.host.frozen_count == 0


def test_a_lease_that_cannot_be_renewed_ends_the_run_with_what_was_done() -> None:
    """A table that fails between two attempts costs the second, never the record of the first."""
    world = TwinWorld()
    world.host.intact = False
    first_attempts = [None, None]  # before its prepare, and before its freeze
    world.leases.faults = [*first_attempts, TableError("InternalServerError")]
    with pytest.raises(RunFailedError, match="lease-not-renewed"):
        world.back_up()
    assert len(world.measures.attempts) == 1
    assert f"{RUN}.1" in str(world.record["attempts"])
    assert world.record["reasons"] == ("not-intact", "lease-not-renewed")
    assert "lease-not-renewed" in world.log.names


class LeaseThief(list[AttachedVolume]):
    """Volumes; while they are read, another run takes the lease."""

    def __init__(self, world: TwinWorld) -> None:
        super().__init__(world.ec2.volumes)
        self._world = world

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - as list has it
        expires_at = self._world.clock.wall() + timedelta(hours=1)
        self._world.leases.rows["recipes-db"] = ("recipes-db.20261125T170000Z", expires_at)
        return super().__iter__()


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


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("noise", "reply-malformed"),
        (
            '{"v":9,"type":"thawed","run_id":"x","target":"recipes-db"}',
            "reply-of-unsupported-version",
        ),
        ('{"v":1,"type":"sung","run_id":"x","target":"recipes-db"}', "reply-of-unknown-type"),
        ("[" * 100_000, "reply-malformed"),
    ],
)
def test_what_cannot_be_read_is_left_to_the_dead_letter_queue(body: str, name: str) -> None:
    """It changes nothing, is logged by name, and never deleted."""
    world = TwinWorld()
    world.host.inbox = [body] * 3
    world.back_up()
    assert list(world.host.invisible.values()) == [body] * 3
    assert world.verdict_tags == ["consistent"]
    assert {it for it in world.log.names if it.startswith("reply-")} == {name}


@pytest.mark.parametrize(
    ("target", "run_id", "name"),
    [
        ("recipes-db", "recipes-db.20261124T180000Z.1", "reply-of-other-run"),
        ("billing-db", f"{RUN}.1", "reply-of-other-target"),
    ],
)
def test_replies_of_other_runs_and_targets_change_nothing(
    target: str, run_id: str, name: str
) -> None:
    """A stale or foreign reply is deleted, and logged by name."""
    world = TwinWorld()
    world.host.inbox = [
        codec.encode(Refused(run_id, target, RefusalCode.BUSY, "stale")),
        codec.encode(Thawed(run_id, target, ThawReason.DEADLINE, False, 9, 9)),
    ]
    world.back_up()
    assert world.host.invisible == {}
    assert world.verdict_tags == ["consistent"]
    assert {it for it in world.log.names if it.startswith("reply-")} == {name}
    assert len(world.measures.attempts) == 1


def test_a_lost_thawed_reply_is_asked_for_again_and_never_assumed() -> None:
    """Without the host's own word that it held to the end there is no proof."""
    world = TwinWorld()
    world.host.answers_thaw = False
    with pytest.raises(RunFailedError, match="no-thawed-reply"):
        world.back_up(attempts=1)
    assert world.trace.count("send thaw") > 1
    assert world.verdict_tags == ["crash-consistent"]


@pytest.mark.parametrize("seed", range(4))
def test_a_frozen_that_comes_with_its_thawed_is_too_late_to_call_for(seed: int) -> None:
    """SQS gives both at once, in any order: the host holds nothing any more."""
    world = TwinWorld()
    world.host.random.seed(seed)
    world.host.frozen_late_s = 12
    with pytest.raises(RunFailedError, match="thawed-early"):
        world.back_up(attempts=1)
    assert world.ec2.called_at_ms == []


def test_a_host_that_sleeps_costs_an_attempt() -> None:
    """Its prepare times out, and the next attempt has another."""
    world = TwinWorld()
    world.host.unanswered = 2  # the prepare, and the thaw that ends the attempt
    world.back_up()
    assert [it.judgement.reasons for it in world.measures.attempts] == [
        ("no-snapshot", "prepare-timeout"),
        (),
    ]


def test_a_bug_in_the_freeze_window_gives_the_host_back() -> None:
    """Whatever escapes, the thaw is sent, the lease is free, and the error is nobody's success."""
    world = TwinWorld()
    world.ec2.faults = [KeyError("SnapshotId")]
    with pytest.raises(KeyError):
        world.back_up()
    assert world.trace.between("call", "send thaw") == []
    assert world.leases.rows == {}
    assert world.record["state"] == RunState.OPEN, "the sweep will tell of it"


def test_a_bug_while_the_thaw_is_sent_gives_the_host_back() -> None:
    """Whatever is being done when something escapes, a thaw is sent after it."""
    world = TwinWorld()
    world.host.faults = [None, None, RuntimeError("the third command is the thaw")]
    with pytest.raises(RuntimeError, match="third"):
        world.back_up()
    assert world.trace.count("send thaw") == 2
    assert world.host.held_run() is None


def test_a_queue_that_fails_once_costs_an_attempt_at_most() -> None:
    """A command that could not be sent is as good as lost: the next attempt has another."""
    world = TwinWorld()
    world.host.faults = [QueueError("SQS is not reachable")]
    world.back_up()
    assert "command-not-sent" in world.log.names
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
