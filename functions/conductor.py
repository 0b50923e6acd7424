"""One attempt: performs what the run machine decides, and tells it what came of it.

Between `frozen` and the thaw this code reads the clock, makes the one call and sends the thaw.
What there is to log or to delete waits until then: all of it would keep a database locked.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from functions.domain.deliveries import Delivery
from functions.domain.errors import (
    AwsError,
    PlanRefusedError,
    QueueError,
    SnapshotRefusedError,
    SnapshotUnknownError,
)
from functions.domain.timings import Moment, Timings
from functions.journal import Journal
from functions.ports import Clock, HostQueues, Window
from holdstill_protocol import codec
from holdstill_protocol.conductor import step
from holdstill_protocol.conductor_model import (
    Attempt,
    Begin,
    Calling,
    CallRefused,
    CallReturned,
    CallSnapshot,
    CallUnknown,
    CommandType,
    Effect,
    Ended,
    Event,
    Evidence,
    Freezing,
    Ignored,
    New,
    Plan,
    Planned,
    PlanRefused,
    Preparing,
    Replied,
    Send,
    Thawing,
    Tick,
)
from holdstill_protocol.errors import ProtocolError
from holdstill_protocol.messages import (
    Command,
    Freeze,
    Frozen,
    Position,
    Prepare,
    Prepared,
    Reply,
    Thaw,
    Thawed,
)

LONG_POLL_S: Final = 20
"""SQS waits no longer than this for a message."""

_COMMANDS: Final[dict[CommandType, type[Command]]] = {
    CommandType.PREPARE: Prepare,
    CommandType.FREEZE: Freeze,
    CommandType.THAW: Thaw,
}
_SENT: Final = {CommandType.FREEZE: Moment.FREEZE_SENT, CommandType.THAW: Moment.THAW_SENT}
_REPLIED: Final[dict[type[Reply], Moment]] = {
    Prepared: Moment.PREPARED,
    Frozen: Moment.FROZEN,
    Thawed: Moment.THAWED,
}


@dataclass(frozen=True, slots=True)
class Conducted:
    """An attempt that is over. `called_ms`: when it called EC2, None where it did not."""

    evidence: Evidence
    timings: Timings
    called_ms: int | None


class Conductor:
    """Conducts one attempt. `plan` checks what is to be checked before the freeze.

    `plan(prepared)` returns the window; it raises PlanRefusedError or an AwsError.
    """

    def __init__(
        self,
        attempt: Attempt,
        queues: HostQueues,
        plan: Callable[[Prepared], Window],
        clock: Clock,
        journal: Journal,
    ) -> None:
        self._attempt = attempt
        self._queues = queues
        self._plan = plan
        self._clock = clock
        self._journal = journal
        self._window: Window | None = None
        self._at_ns: dict[Moment, int] = {}
        self._read: list[str] = []

    def conduct(self) -> Conducted:
        """Run the attempt to its end, which the machine's own deadlines bring about."""
        self._at_ns[Moment.BEGUN] = self._clock.now_ns()
        try:
            self._drive(Begin(self._now_ms()))
            while not isinstance(self._attempt.phase, Ended):
                self._settle()
                self._listen()
                self._drive(Tick(self._now_ms()))
        finally:
            if not isinstance(self._attempt.phase, New | Ended):  # a bug: give the host back
                self._send(Send(CommandType.THAW, self._attempt.seq + 1, 0))
            self._journal.write()
        self._settle()
        called_ns = self._at_ns.get(Moment.CALLED)
        called_ms = None if called_ns is None else called_ns // 1_000_000
        return Conducted(self._attempt.evidence, Timings.between(self._at_ns), called_ms)

    def _listen(self) -> None:
        try:
            deliveries = self._queues.receive(self._patience_s())
        except QueueError as error:
            self._journal.note("replies-not-received", detail=str(error))
            self._clock.sleep(1)
            return
        received_ns = self._clock.now_ns()
        replies = list(self._decode(deliveries))
        # Beside the `thawed` that followed it, a `frozen` is too late to call for.
        for reply in sorted(replies, key=lambda reply: isinstance(reply, Frozen)):
            moment = _REPLIED.get(type(reply))
            if reply.run_id == self._attempt.run_id and moment not in self._at_ns:
                self._mark(moment, received_ns)
                self._journal.note_reply(reply)
            self._drive(Replied(reply, received_ns // 1_000_000))

    def _decode(self, deliveries: Iterable[Delivery]) -> Iterable[Reply]:
        for delivery in deliveries:
            try:
                reply = codec.decode_reply(delivery.body)
            except ProtocolError as error:
                # Not deleted: invisible for a while, then the dead-letter queue has it.
                self._journal.note_undecodable(error)
                continue
            self._read.append(delivery.receipt)
            if reply.target != self._attempt.target:
                self._journal.note(
                    "reply-of-other-target", of_run=reply.run_id, of_target=reply.target
                )
                continue
            yield reply

    def _drive(self, event: Event) -> None:
        """Give the machine an event, then those that come of its effects."""
        events = deque([event])
        while events:
            self._attempt, effects = step(self._attempt, events.popleft())
            for effect in effects:
                events.extend(self._perform(effect))

    def _perform(self, effect: Effect) -> Iterable[Event]:
        match effect:
            case CallSnapshot(position):
                return [self._call(position)]
            case Send():
                self._send(effect)
            case Plan(prepared):
                return [self._check(prepared)]
            case Ignored(name, run_id):
                self._journal.note(name, of_run=run_id)
        return []

    def _call(self, position: Position | None) -> Event:
        if self._window is None:
            raise RuntimeError("the machine called for a snapshot that it never planned")
        self._at_ns[Moment.CALLED] = self._clock.now_ns()
        try:
            snapshots = self._window.snapshot(position)
        except SnapshotRefusedError as error:
            event: Event = CallRefused(str(error), self._now_ms())
        except SnapshotUnknownError as error:
            event = CallUnknown(str(error), self._now_ms())
        else:
            event = CallReturned(snapshots, self._now_ms())
        self._at_ns[Moment.RETURNED] = self._clock.now_ns()
        self._journal.note("snapshot-call-ended", outcome=type(event).__name__)
        return event

    def _check(self, prepared: Prepared) -> Event:
        self._settle()
        try:
            self._window = self._plan(prepared)
        except (PlanRefusedError, AwsError) as error:
            self._journal.note("plan-refused", detail=str(error))
            return PlanRefused(str(error))
        return Planned(self._now_ms())

    def _send(self, send: Send) -> None:
        expires_at = self._clock.wall() + timedelta(milliseconds=send.expires_in_ms)
        command = _COMMANDS[send.command](
            self._attempt.run_id, self._attempt.target, send.seq, expires_at
        )
        self._mark(_SENT.get(send.command), self._clock.now_ns())
        try:
            self._queues.send(codec.encode(command))
        except QueueError as error:
            # As good as lost by SQS, and the machine's deadlines know what to do about that.
            self._journal.note("command-not-sent", command=send.command, detail=str(error))
        else:
            self._journal.note("command-sent", command=send.command, seq=send.seq)

    def _patience_s(self) -> int:
        """Return how long to listen: to the next deadline in whole seconds, never not at all."""
        match self._attempt.phase:
            case Thawing(until_ms, again_at_ms):
                next_ms = min(until_ms, again_at_ms)
            case Preparing(until_ms) | Freezing(until_ms):
                next_ms = until_ms
            case phase:
                raise RuntimeError(f"{type(phase).__name__} waits for no reply")
        return max(1, min(LONG_POLL_S, (next_ms - self._now_ms()) // 1000))

    def _settle(self) -> None:
        """Log and delete what has piled up, unless the host holds anything or is about to."""
        if isinstance(self._attempt.phase, Freezing | Calling):
            return
        self._journal.write()
        if self._read:
            try:
                self._queues.delete(self._read)
            except QueueError as error:  # they come again, and are ignored again
                self._journal.note("replies-not-deleted", detail=str(error))
            self._read.clear()

    def _mark(self, moment: Moment | None, now_ns: int) -> None:
        if moment is not None:
            self._at_ns.setdefault(moment, now_ns)

    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000
