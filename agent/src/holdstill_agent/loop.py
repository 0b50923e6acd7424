"""The host machine's shell: receive, step, perform. What to do is decided in the protocol.

One thread does everything that holds the host, and waits for three things only: what arrives, the
freezer's line, and the machine's next deadline.
"""

import select
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Protocol

from holdstill_agent.hold import Hold
from holdstill_agent.log import Log
from holdstill_agent.notify import NOBODY, Supervisor
from holdstill_agent.queues import Delivery
from holdstill_agent.steadiness import WALL_CLOCK
from holdstill_protocol.codec import decode_command
from holdstill_protocol.errors import (
    ProtocolError,
    UnknownTypeError,
    UnsupportedVersionError,
)
from holdstill_protocol.host import step
from holdstill_protocol.host_model import (
    Arrived,
    Disconnect,
    Effect,
    Event,
    Host,
    Idle,
    Ignored,
    Preflight,
    Preparing,
    Quiesce,
    Quiesced,
    Quiescing,
    Ready,
    Release,
    Send,
    Shutdown,
    Tick,
)
from holdstill_protocol.messages import RefusalCode, Refused, Reply, Thaw

_DELETE_WITHIN_MS = 1000  # SQS shows a command again after 5 s, and three times at most


class Outbox(Protocol):
    """What takes replies, and receipts to delete, without making the loop wait."""

    def send(self, reply: Reply) -> None:
        """Send a reply soon."""

    def delete(self, receipts: list[str]) -> None:
        """Delete taken commands soon."""


class Loop:
    """The agent, between its queues and its hands."""

    def __init__(
        self,
        host: Host,
        hold: Hold,
        outbox: Outbox,
        log: Log,
        now_ms: Callable[[], int],
        *,
        supervisor: Supervisor = NOBODY,
    ) -> None:
        self._host = host
        self._hold = hold
        self._outbox = outbox
        self._log = log
        self._now_ms = now_ms
        self._supervisor = supervisor
        self._inbox: SimpleQueue[Delivery | Shutdown] = SimpleQueue()
        self._arrived: deque[Event] = deque()
        self._results: deque[Event] = deque()
        self._taken: list[str] = []
        self._delete_at_ms = 0
        self._stopping = False
        self._wakes, self._wake = socket.socketpair()
        self._wakes.setblocking(False)
        self._wake.setblocking(False)

    def deliver(self, delivery: Delivery | Shutdown) -> None:
        """Hand a message over, from any thread or signal handler."""
        self._inbox.put(delivery)
        try:
            self._wake.send(b"\0")
        except BlockingIOError:  # it has plenty to wake up for
            return

    def run(self) -> None:
        """Run until told to stop and nothing is held."""
        self._undo()  # what the last process left
        while self._arrived or not (self._stopping and isinstance(self._host.phase, Idle)):
            self._wait(0 if self._arrived else self._timeout_ms())
            self._turn()
        self._delete()
        self._log.flush()

    def _turn(self) -> None:
        """Do everything that there is to do now."""
        self._beat()
        self._feed(Tick(self._now_ms()))
        while event := self._next():
            self._feed(event)
        if not isinstance(self._host.phase, Quiesced | Quiescing):
            self._hold.tidy(self._pause)
            self._log.flush()
        self._delete_in_time()
        if isinstance(self._host.phase, Idle):
            self._undo()

    def _beat(self) -> None:
        """Do what is to be done again and again, and costs microseconds."""
        self._supervisor.alive(self._now_ms())
        WALL_CLOCK.look()

    def _next(self) -> Event | None:
        """Return the next event; what arrived during an effect comes before its result."""
        self._empty_inbox()
        if self._arrived:
            return self._arrived.popleft()
        return self._results.popleft() if self._results else None

    def _feed(self, event: Event) -> None:
        self._host, effects = step(self._host, event)
        for effect in effects:
            self._perform(effect)

    def _undo(self, *, at_once: bool = False) -> None:
        """Undo what a run has left, ended or killed. It may take a while: commands wait for it."""
        for report in self._hold.undo(self._pause, at_once=at_once):
            self._log.event("after-unlock", **asdict(report))
            self._log.flush()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send(reply):
                self._outbox.send(reply)
                self._log.event("reply", reply=type(reply).__name__, **asdict(reply))
            case Quiesce(run_id, expires_at_ms):
                self._results.append(self._hold.quiesce(run_id, expires_at_ms))
            case Release(run_id):
                self._results.append(self._hold.release(run_id))
            case Preflight(run_id, until_ms):
                self._undo(at_once=True)
                self._log.event("preflight", run_id=run_id)
                self._log.flush()
                passed = self._hold.preflight(run_id, until_ms, self._still_wanted)
                self._results.append(passed)
            case Disconnect(run_id):
                self._hold.abandon(run_id)
            case Ignored(name, run_id):
                self._log.event("command-ignored", why=name, run_id=run_id)

    # --- waiting

    def _timeout_ms(self) -> int | None:
        match self._host.phase:
            case Ready(_, until_ms) | Quiesced(_, until_ms):
                due_ms = [until_ms]
            case _:
                due_ms = []
        if self._hold.undo_again_at_ms is not None and isinstance(self._host.phase, Idle):
            due_ms.append(self._hold.undo_again_at_ms)
        if self._taken:
            due_ms.append(self._delete_at_ms)
        if self._supervisor.feed_every_ms is not None:  # idle too, it must be heard
            due_ms.append(self._supervisor.due_ms())
        return max(0, min(due_ms) - self._now_ms()) if due_ms else None

    def _wait(self, timeout_ms: int | None) -> None:
        """Wait for a message, the loss of the freeze, or the time."""
        poller = select.poll()
        poller.register(self._wakes, select.POLLIN)
        line = self._hold.line() if isinstance(self._host.phase, Quiesced) else None
        if line is not None:
            poller.register(line, select.POLLIN)
        ready = [descriptor for descriptor, _ in poller.poll(timeout_ms)]
        if self._wakes.fileno() in ready:
            self._wakes.recv(4096)
        if isinstance(self._host.phase, Quiesced) and line in ready:
            self._results.append(self._hold.lost(self._host.phase.run_id))

    def _still_wanted(self, pause_s: float) -> bool:
        """Pause a pre-flight; return whether nothing came meanwhile that ends its run."""
        self._pause(pause_s)
        phase = self._host.phase
        return isinstance(phase, Preparing) and not any(
            _ends(event, phase.run_id) for event in self._arrived
        )

    def _pause(self, pause_s: float) -> bool:
        """Wait while nothing is held; what arrives is taken, or SQS would show it again."""
        self._beat()
        self._wait(round(pause_s * 1000))
        self._empty_inbox()
        self._delete_in_time()
        return True

    # --- messages

    def _empty_inbox(self) -> None:
        """Take what arrived. What is behind a shutdown stays on the queue, for the next agent."""
        while not self._stopping:
            try:
                delivery = self._inbox.get_nowait()
            except Empty:
                return
            if isinstance(delivery, Shutdown):
                self._stopping = True
                self._supervisor.stopping()
                self._arrived.append(delivery)
            else:
                self._take(delivery)

    def _take(self, delivery: Delivery) -> None:
        try:
            command = decode_command(delivery.text)
        except ProtocolError as error:
            self._refuse(error)  # and leave it to the dead-letter queue
            return
        patience_ms = _milliseconds(delivery.received_at, command.expires_at)
        now_ms = delivery.received_at_ms
        self._arrived.append(Arrived(command, now_ms, now_ms + patience_ms, delivery.skew_ms))
        self._log.event(
            "command", command=type(command).__name__, run_id=command.run_id, seq=command.seq
        )
        if not self._taken:
            self._delete_at_ms = self._now_ms() + _DELETE_WITHIN_MS
        self._taken.append(delivery.receipt)

    def _refuse(self, error: ProtocolError) -> None:
        match error:
            case UnsupportedVersionError():
                code = RefusalCode.UNSUPPORTED_VERSION
            case UnknownTypeError():
                code = RefusalCode.UNKNOWN_TYPE
            case _:
                code = RefusalCode.MALFORMED
        self._log.event("message-refused", code=code, detail=str(error), run_id=error.run_id)
        if error.run_id:
            self._outbox.send(Refused(error.run_id, self._host.target, code, str(error)))

    def _delete_in_time(self) -> None:
        """Delete taken commands: at once while nothing is held, else before they come again.

        Another thread's work delays a thaw by a millisecond: it can wait, and so it does.
        """
        held = isinstance(self._host.phase, Quiesced)
        if self._taken and (not held or self._now_ms() >= self._delete_at_ms):
            self._delete()

    def _delete(self) -> None:
        if self._taken:
            self._outbox.delete(self._taken)
            self._taken = []


def _ends(event: Event, run_id: str) -> bool:
    match event:
        case Shutdown():
            return True
        case Arrived(Thaw(thawed)):
            return thawed == run_id
        case _:
            return False


def _milliseconds(start: datetime, end: datetime) -> int:
    return round((end - start).total_seconds() * 1000)
