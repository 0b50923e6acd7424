"""The run's state machine: what the conductor does about each event. All that decides is here.

`step(attempt, event)` returns the next state and the effects to perform, in order. No clock,
no I/O. An attempt sends one freeze and makes one snapshot call at most.
"""

from dataclasses import replace

from holdstill_protocol.conductor_model import (
    Attempt,
    Begin,
    Calling,
    CallOutcome,
    CallRefused,
    CallReturned,
    CallSnapshot,
    CallUnknown,
    CommandType,
    Effect,
    Ended,
    Event,
    Freezing,
    Ignored,
    New,
    Phase,
    Plan,
    Planned,
    Planning,
    PlanRefused,
    Preparing,
    Replied,
    Send,
    Step,
    Stop,
    Thawing,
    Tick,
)
from holdstill_protocol.messages import Frozen, Prepared, Refused, Thawed

MARGIN_MS = 1_000
"""A command expires this much before the conductor gives up, so that no answer comes too late."""

THAW_AGAIN_MS = 3_000
"""How often an unanswered thaw is sent again."""


def step(attempt: Attempt, event: Event) -> Step:
    """Return the next state and the effects to perform, in order."""
    match event:
        case Replied(reply) if reply.run_id != attempt.run_id:
            return attempt, [Ignored("reply-of-other-run", reply.run_id)]
        case Replied():
            return _replied(attempt, event)
        case Tick(now_ms):
            return _tick(attempt, now_ms)
        case Begin(now_ms) if isinstance(attempt.phase, New):
            return _send(
                attempt, Preparing(now_ms + attempt.patience.prepare_ms), CommandType.PREPARE
            )
        case Planned() | PlanRefused() if isinstance(attempt.phase, Planning):
            return _planned(attempt, event)
        case CallReturned() | CallRefused() | CallUnknown():
            return _called(attempt, event)
        case _:
            return attempt, []


def _replied(attempt: Attempt, event: Replied) -> Step:
    phase, reply, now_ms = attempt.phase, event.reply, event.now_ms
    match phase, reply:
        case Preparing(), Prepared():
            return _to(_learn(attempt, prepared=reply), Planning()), [Plan(reply)]
        case Preparing() | Thawing(), Refused():
            return _to(_learn(attempt, refused=reply), Ended()), []
        case Freezing(), Refused():  # of another message of the run, it says nothing of the freeze
            return _abandon(_learn(attempt, refused=reply))
        case Freezing(), Frozen():
            calling = Calling(now_ms + attempt.patience.call_ms)
            return _to(_learn(attempt, frozen=reply), calling), [CallSnapshot(reply.position)]
        case Freezing(), Thawed():  # SQS may bring it before the `frozen` that went first
            return _to(_learn(attempt, thawed=reply, stop=Stop.THAWED_EARLY), Ended()), []
        case Thawing(), Frozen():  # too late to call; its thaw is on the way
            return _learn(attempt, frozen=reply), []
        case Calling(), Thawed():  # the host gave up; the call is still under way
            return _learn(attempt, thawed=reply), []
        case Thawing(), Thawed():
            return _to(_learn(attempt, thawed=reply), Ended()), []
        case _:
            return attempt, [Ignored("late-reply", reply.run_id)]


def _tick(attempt: Attempt, now_ms: int) -> Step:
    match attempt.phase:
        case Preparing(until_ms) if now_ms >= until_ms:
            stopped = _learn(attempt, stop=Stop.PREPARE_TIMEOUT)
            return _abandon(stopped)
        case Freezing(until_ms) if now_ms >= until_ms:
            return _thaw(_learn(attempt, stop=Stop.FREEZE_TIMEOUT), now_ms)
        case Calling(until_ms) if now_ms >= until_ms:
            return _thaw(_learn(attempt, call=CallOutcome.UNKNOWN), now_ms)
        case Thawing(until_ms) if now_ms >= until_ms:
            return _to(attempt, Ended()), []
        case Thawing(until_ms, again_at_ms) if now_ms >= again_at_ms:
            again = Thawing(until_ms, now_ms + THAW_AGAIN_MS)
            return _send(attempt, again, CommandType.THAW)
        case _:
            return attempt, []


def _planned(attempt: Attempt, event: Planned | PlanRefused) -> Step:
    if isinstance(event, PlanRefused):
        return _abandon(_learn(attempt, stop=Stop.PLAN_REFUSED, detail=event.detail))
    patience = attempt.patience
    needed_ms = patience.freeze_ms + patience.call_ms + patience.thaw_ms
    if event.now_ms + needed_ms > attempt.ends_by_ms:
        left_s = (attempt.ends_by_ms - event.now_ms) / 1000
        detail = f"{left_s:.0f} s left of the conductor's time, {needed_ms / 1000:.0f} s needed"
        return _abandon(_learn(attempt, stop=Stop.OUT_OF_TIME, detail=detail))
    return _send(attempt, Freezing(event.now_ms + patience.freeze_ms), CommandType.FREEZE)


def _called(attempt: Attempt, event: CallReturned | CallRefused | CallUnknown) -> Step:
    if not isinstance(attempt.phase, Calling | Thawing):
        return attempt, []
    in_time = isinstance(attempt.phase, Calling)
    match event:
        case CallReturned(snapshots):
            learnt = _learn(
                attempt,
                call=CallOutcome.RETURNED,
                snapshots=snapshots,
                returned_before_thaw=in_time and attempt.evidence.thawed is None,
            )
        case CallRefused(detail):
            learnt = _learn(attempt, call=CallOutcome.REFUSED, detail=detail)
        case CallUnknown(detail):
            learnt = _learn(attempt, call=CallOutcome.UNKNOWN, detail=detail)
    if not in_time:
        return learnt, []
    if learnt.evidence.thawed is not None:
        return _to(learnt, Ended()), []
    return _thaw(learnt, event.now_ms)


def _thaw(attempt: Attempt, now_ms: int) -> Step:
    thawing = Thawing(now_ms + attempt.patience.thaw_ms, now_ms + THAW_AGAIN_MS)
    return _send(attempt, thawing, CommandType.THAW)


def _abandon(attempt: Attempt) -> Step:
    """End an attempt that has frozen nothing; the thaw lets the host disconnect."""
    return _send(attempt, Ended(), CommandType.THAW)


def _send(attempt: Attempt, phase: Phase, command: CommandType) -> Step:
    seq = attempt.seq + 1
    patience = attempt.patience
    wait_ms = {
        CommandType.PREPARE: patience.prepare_ms,
        CommandType.FREEZE: patience.freeze_ms,
        CommandType.THAW: patience.thaw_ms,
    }[command]
    effects: list[Effect] = [Send(command, seq, wait_ms - MARGIN_MS)]
    return replace(attempt, phase=phase, seq=seq), effects


def _learn(attempt: Attempt, **facts: object) -> Attempt:
    return replace(attempt, evidence=replace(attempt.evidence, **facts))  # type: ignore[arg-type]


def _to(attempt: Attempt, phase: Phase) -> Attempt:
    return replace(attempt, phase=phase)
