"""The run's machine, rule by rule."""

from holdstill_protocol import conductor_model as model
from holdstill_protocol.conductor import MARGIN_MS, THAW_AGAIN_MS, step
from holdstill_protocol.conductor_model import CallOutcome, CommandType, Stop
from holdstill_protocol.messages import (
    Frozen,
    Lock,
    Prepared,
    RefusalCode,
    Refused,
    Reply,
    Thawed,
    ThawReason,
)

RUN = "recipes-db.20260101T000000Z.1"
TARGET = "recipes-db"
NEW = model.Attempt(RUN, TARGET, ends_by_ms=800_000)
PREPARED = Prepared(RUN, TARGET, ("vol-0a",), (), Lock.FTWRL, True, 10_000)
FROZEN = Frozen(RUN, TARGET, 30, 2, None)
THAWED = Thawed(RUN, TARGET, ThawReason.COMMANDED, True, 90, 120)
REFUSED = Refused(RUN, TARGET, RefusalCode.LOCK_TIMEOUT, "a long SELECT")
SNAPSHOTS = (model.Snapshot("snap-1", "vol-0a"),)


def play(*events: model.Event) -> tuple[model.Attempt, list[model.Effect]]:
    """Return the state after the events, and the last event's effects."""
    attempt, effects = NEW, []
    for event in events:
        attempt, steps = step(attempt, event)
        effects = list(steps)
    return attempt, effects


def reply(message: Reply, now_ms: int = 100) -> model.Replied:
    """Return the event of a reply that was received."""
    return model.Replied(message, now_ms)


BEGUN = (model.Begin(0),)
PLANNING = (*BEGUN, reply(PREPARED))
FREEZING = (*PLANNING, model.Planned(200))
CALLING = (*FREEZING, reply(FROZEN, 300))
THAWING = (*CALLING, model.CallReturned(SNAPSHOTS, 600))


def sent(effects: list[model.Effect]) -> list[CommandType]:
    """Return the commands among the effects."""
    return [effect.command for effect in effects if isinstance(effect, model.Send)]


def test_a_whole_run() -> None:
    """Prepare, plan, freeze, call, thaw; the evidence holds all of it."""
    assert play(*BEGUN)[1] == [model.Send(CommandType.PREPARE, 1, 60_000 - MARGIN_MS)]
    assert play(*PLANNING)[1] == [model.Plan(PREPARED)]
    assert play(*FREEZING)[1] == [model.Send(CommandType.FREEZE, 2, 15_000 - MARGIN_MS)]
    assert play(*CALLING)[1] == [model.CallSnapshot(None)]
    assert sent(play(*THAWING)[1]) == [CommandType.THAW]
    attempt, effects = play(*THAWING, reply(THAWED, 700))
    assert effects == []
    assert attempt.phase == model.Ended()
    assert attempt.evidence == model.Evidence(
        prepared=PREPARED,
        frozen=FROZEN,
        thawed=THAWED,
        call=CallOutcome.RETURNED,
        snapshots=SNAPSHOTS,
        returned_before_thaw=True,
    )


def test_a_slow_call_is_thawed_and_never_called_in_time() -> None:
    """Once the thaw is sent, a call that returns is evidence of a snapshot, not of consistency."""
    attempt, effects = play(*CALLING, model.Tick(10_300))
    assert sent(effects) == [CommandType.THAW]
    attempt, _ = step(attempt, model.CallReturned(SNAPSHOTS, 10_400))
    assert attempt.evidence.call is CallOutcome.RETURNED
    assert not attempt.evidence.returned_before_thaw


def test_a_failed_call_thaws_at_once() -> None:
    """An error of EC2 is no reason to keep the database waiting."""
    failures: list[tuple[model.Event, CallOutcome]] = [
        (model.CallRefused("throttled", 600), CallOutcome.REFUSED),
        (model.CallUnknown("timeout", 600), CallOutcome.UNKNOWN),
    ]
    for event, outcome in failures:
        attempt, effects = play(*CALLING, event)
        assert sent(effects) == [CommandType.THAW]
        assert attempt.evidence.call is outcome


def test_a_freeze_that_does_not_answer_is_thawed() -> None:
    """The host may have frozen all the same; the thaw ends the run also when it arrives first."""
    attempt, effects = play(*FREEZING, model.Tick(15_200))
    assert sent(effects) == [CommandType.THAW]
    after, effects = step(attempt, reply(FROZEN, 15_300))
    assert effects == []
    assert after.evidence.call is CallOutcome.NOT_MADE
    ended, _ = step(after, reply(THAWED, 15_400))
    assert ended.phase == model.Ended()


def test_a_reply_out_of_order_makes_no_snapshot() -> None:
    """`thawed` before its `frozen`: the host is not frozen any more."""
    attempt, effects = play(*FREEZING, reply(THAWED))
    assert effects == []
    assert attempt.evidence.stop is Stop.THAWED_EARLY
    after, effects = step(attempt, reply(FROZEN))
    assert after == attempt
    assert effects == [model.Ignored("late-reply", RUN)]


def test_the_host_thaws_during_the_call() -> None:
    """The attempt ends when the call does, nothing is sent, and it did not return in time.

    Whoever told the host to thaw, it was not this conductor.
    """
    for reason in ThawReason:
        thawed = Thawed(RUN, TARGET, reason, True, 10_000, 10_010)
        attempt, effects = play(*CALLING, reply(thawed), model.CallReturned(SNAPSHOTS, 600))
        assert attempt.phase == model.Ended()
        assert effects == []
        assert attempt.evidence.thawed == thawed
        assert not attempt.evidence.returned_before_thaw


def test_an_unanswered_thaw_is_sent_again_and_given_up() -> None:
    """The agent may have been restarted; the run's end does not depend on it."""
    attempt, _ = play(*THAWING)
    attempt, effects = step(attempt, model.Tick(600 + THAW_AGAIN_MS))
    assert sent(list(effects)) == [CommandType.THAW]
    attempt, effects = step(attempt, model.Tick(601 + THAW_AGAIN_MS))
    assert effects == []
    attempt, _ = step(attempt, model.Tick(15_600))
    assert attempt.phase == model.Ended()
    assert attempt.evidence.thawed is None


def test_refusals_end_the_attempt() -> None:
    """The host says itself that it holds nothing."""
    for events in (BEGUN, FREEZING, THAWING):
        attempt, effects = play(*events, reply(REFUSED))
        assert attempt.phase == model.Ended()
        assert attempt.evidence.refused == REFUSED
        # The refusal may be of another message: a host that froze all the same is not left so.
        assert sent(effects) == ([CommandType.THAW] if events is FREEZING else [])


def test_no_freeze_without_time_to_thaw() -> None:
    """The Lambda's own end is near: the host is not frozen by one that cannot thaw it."""
    attempt, effects = play(*PLANNING, model.Planned(760_001))
    assert attempt.evidence.stop is Stop.OUT_OF_TIME
    assert sent(effects) == [CommandType.THAW]
    assert sent(play(*PLANNING, model.Planned(760_000))[1]) == [CommandType.FREEZE]


def test_a_plan_refused_lets_the_host_go() -> None:
    """The prepared host disconnects, instead of waiting out its minute."""
    attempt, effects = play(*PLANNING, model.PlanRefused("vol-0a is attached to i-0b"))
    assert attempt.evidence.stop is Stop.PLAN_REFUSED
    assert attempt.evidence.detail == "vol-0a is attached to i-0b"
    assert sent(effects) == [CommandType.THAW]


def test_replies_of_other_runs_change_nothing() -> None:
    """The reply queue outlives a run."""
    stale = Frozen("recipes-db.20251231T000000Z.1", TARGET, 1, 1, None)
    for events in (BEGUN, FREEZING, CALLING, THAWING):
        attempt, _ = play(*events)
        after, effects = step(attempt, reply(stale))
        assert after == attempt
        assert effects == [model.Ignored("reply-of-other-run", stale.run_id)]


def test_repeated_replies_freeze_and_call_once() -> None:
    """SQS delivers at least once; EC2 would make a snapshot for each call."""
    for events, message in ((PLANNING, PREPARED), (CALLING, FROZEN), (THAWING, PREPARED)):
        attempt, _ = play(*events)
        after, effects = step(attempt, reply(message))
        assert after == attempt
        assert [type(effect) for effect in effects] == [model.Ignored]
