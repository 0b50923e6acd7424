"""The host's state machine: what the agent does about each event. Everything that decides is here.

`step(host, event)` returns the next state and the effects to perform, in order. No clock, no I/O.
"""

from dataclasses import replace

from holdstill_protocol.host_model import (
    Arrived,
    Disconnect,
    Effect,
    Event,
    Failed,
    HoldLost,
    Host,
    Idle,
    Ignored,
    Phase,
    Preflight,
    PreflightPassed,
    Preparing,
    Quiesce,
    Quiesced,
    QuiesceHeld,
    Quiescing,
    Ready,
    Release,
    Released,
    Releasing,
    Send,
    Shutdown,
    Step,
    Tick,
)
from holdstill_protocol.messages import (
    Command,
    Freeze,
    Frozen,
    Prepare,
    Prepared,
    RefusalCode,
    Refused,
    Thaw,
    Thawed,
    ThawReason,
)

READY_FOR_MS = 60_000
"""How long a prepared run waits for its freeze: as long as SQS keeps a command."""

REMEMBERED_RUNS = 64
"""Runs that ended, so that their late commands do nothing: an hour of one attempt a minute."""


def step(host: Host, event: Event) -> Step:  # noqa: C901 - one case a rule, top down
    """Return the next state and the effects to perform, in order."""
    match host.phase, event:
        case _, Arrived():
            return _arrived(host, event)

        case Preparing(run), PreflightPassed(passed, volumes, checks, now_ms) if passed == run:
            prepared = Prepared(
                run, host.target, volumes, checks, host.lock, host.freeze, host.budget_ms
            )
            return _to(host, Ready(run, now_ms + READY_FOR_MS)), [Send(prepared)]
        case _, PreflightPassed(passed):  # its run was thawed or shut down meanwhile
            return host, [Disconnect(passed)]
        case Preparing(run) | Quiescing(run), Failed(failed, code, detail) if failed == run:
            return _end(host), [Send(Refused(run, host.target, code, detail))]

        case Ready(run, until_ms), Tick(now_ms) if now_ms >= until_ms:
            return _end(host), [Disconnect(run)]

        case Quiescing(run, unwanted), QuiesceHeld(held) if held == run:
            if unwanted:
                return _release(host, run, unwanted)
            frozen = Frozen(run, host.target, event.lock_wait_ms, event.freeze_ms, event.position)
            quiesced = Quiesced(run, event.locked_at_ms + host.budget_ms)
            return _to(host, quiesced), [Send(frozen)]

        case Quiesced(run, thaw_by_ms), Tick(now_ms) if now_ms >= thaw_by_ms:
            return _release(host, run, ThawReason.DEADLINE)
        case Quiesced(run), HoldLost(lost, reason) if lost == run:
            return _release(host, run, reason)

        case Releasing(run, reason), Released(done, intact, held_ms, locked_ms) if done == run:
            thawed = Thawed(run, host.target, reason, intact, held_ms, locked_ms)
            return _end(host), [Send(thawed)]

        case _, Shutdown():
            return _shutdown(host)
        case _:  # a result or a tick that its phase has outlived
            return host, []


def _arrived(host: Host, event: Arrived) -> Step:
    """Sort a command, which may come late, twice, out of order, or from a stranger."""
    command = event.command
    if command.target != host.target:
        return host, [_refuse(host, command, RefusalCode.FOREIGN_TARGET, _foreign(host, command))]
    if command.run_id in host.over:
        return host, [Ignored("command-of-ended-run", command.run_id)]
    match command:
        case Thaw(run):
            return _thaw(host, run)
        case Prepare(run) if _run(host.phase) != run and (unfit := _unfit(host, event)):
            return _forget(host, run), [unfit]
        case Prepare(run):
            return _prepare(host, run, event.expires_at_ms)
        case Freeze(run):
            return _freeze(host, run, event)
    raise TypeError(f"{type(command).__name__} is no command")


def _prepare(host: Host, run: str, until_ms: int) -> Step:
    match host.phase:
        case Idle():
            return _to(host, Preparing(run)), [Preflight(run, until_ms)]
        case Ready(other) if other != run:  # its conductor is gone: there is one run at a time
            ended = _forget(host, other)
            return _to(ended, Preparing(run)), [Disconnect(other), Preflight(run, until_ms)]
        case phase if _run(phase) == run:
            return host, [Ignored("repeated-prepare", run)]
        case phase:
            detail = f"run {_run(phase)} is under way; one run at a time"
            # Its conductor ends without a thaw: repeated later, it must not begin for nobody.
            return _forget(host, run), [Send(Refused(run, host.target, RefusalCode.BUSY, detail))]


def _freeze(host: Host, run: str, event: Arrived) -> Step:
    match host.phase:
        case Ready(ready) if ready == run:
            if unfit := _unfit(host, event):
                return _end(host), [Disconnect(run), unfit]
            return _to(host, Quiescing(run)), [Quiesce(run, event.expires_at_ms)]
        case phase if _run(phase) == run and not isinstance(phase, Preparing):
            return host, [Ignored("repeated-freeze", run)]
        case _:
            detail = "this agent process did not prepare the run; prepare it again"
            return host, [_refuse(host, event.command, RefusalCode.NOT_PREPARED, detail)]


def _thaw(host: Host, run: str) -> Step:
    """Obey a thaw, however late it is and whatever the clocks say."""
    match host.phase:
        case Quiesced(held) if held == run:
            return _release(host, run, ThawReason.COMMANDED)
        case Quiescing(held) if held == run:
            return _to(host, Quiescing(run, unwanted=ThawReason.COMMANDED)), []
        case Preparing(held) | Ready(held) if held == run:
            return _end(host), _disconnect(host, run)
        case Releasing(held) if held == run:
            return host, [Ignored("repeated-thaw", run)]
        case _:  # it came before its freeze, or this process has never heard of the run
            detail = "this agent process holds nothing for the run"
            refused = Refused(run, host.target, RefusalCode.NOT_PREPARED, detail)
            return _forget(host, run), [Send(refused)]


def _shutdown(host: Host) -> Step:
    match host.phase:
        case Quiesced(run):
            return _release(host, run, ThawReason.SHUTDOWN)
        case Quiescing(run):
            return _to(host, Quiescing(run, unwanted=ThawReason.SHUTDOWN)), []
        case Preparing(run) | Ready(run):
            detail = "the agent is stopping"
            refused = Send(Refused(run, host.target, RefusalCode.SHUTDOWN, detail))
            return _end(host), [*_disconnect(host, run), refused]
        case Idle() | Releasing():
            return host, []


def _disconnect(host: Host, run: str) -> list[Effect]:
    """Return what closes the connections: a pre-flight under way closes its own when it ends."""
    return [Disconnect(run)] if isinstance(host.phase, Ready) else []


def _unfit(host: Host, event: Arrived) -> Send | None:
    """Return the refusal of a command that is too old, or that no clock can judge."""
    if abs(event.skew_ms) > host.max_clock_skew_ms:
        way = "ahead of" if event.skew_ms > 0 else "behind"
        detail = (
            f"the host's clock is {abs(event.skew_ms) / 1000:.1f} s {way} the queue's;"
            " mend its time synchronisation"
        )
        return _refuse(host, event.command, RefusalCode.CLOCK_SKEW, detail)
    if event.now_ms >= event.expires_at_ms:
        late_s = (event.now_ms - event.expires_at_ms) / 1000
        detail = f"expired {late_s:.1f} s before it was received"
        return _refuse(host, event.command, RefusalCode.EXPIRED, detail)
    return None


def _foreign(host: Host, command: Command) -> str:
    return f"meant for {command.target[:48]!r}; this host is {host.target!r}: check its queue URLs"


def _refuse(host: Host, command: Command, code: RefusalCode, detail: str) -> Send:
    return Send(Refused(command.run_id, host.target, code, detail))


def _release(host: Host, run: str, reason: ThawReason) -> Step:
    return _to(host, Releasing(run, reason)), [Release(run, reason)]


def _run(phase: Phase) -> str | None:
    return None if isinstance(phase, Idle) else phase.run_id


def _to(host: Host, phase: Phase) -> Host:
    return replace(host, phase=phase)


def _end(host: Host) -> Host:
    run = _run(host.phase)
    return replace(host if run is None else _forget(host, run), phase=Idle())


def _forget(host: Host, run: str) -> Host:
    """Remember that `run` is over: whatever still comes of it changes nothing."""
    return replace(host, over=(*host.over, run)[-REMEMBERED_RUNS:])
