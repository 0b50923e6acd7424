"""A run and its queues: replies that are lost, late, foreign or unreadable, and bugs between."""

import pytest

from functions.domain.errors import (
    QueueError,
    RunFailedError,
)
from functions.domain.runs import RunState
from holdstill_protocol import codec
from holdstill_protocol.messages import RefusalCode, Refused, Thawed, ThawReason
from tests.twins.world import TwinWorld

RUN = "recipes-db.20261125T180000Z"


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
