"""A host behind two queues: the real host machine, with a database that does what a test says.

The queues deliver at least once and in any order, as SQS does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from functions.domain.deliveries import Delivery
from functions.ports import Clock
from holdstill_protocol import codec
from holdstill_protocol.host import step
from holdstill_protocol.host_model import (
    Arrived,
    Effect,
    Event,
    Failed,
    Host,
    Ignored,
    Preflight,
    PreflightPassed,
    Quiesce,
    Quiesced,
    QuiesceHeld,
    Release,
    Released,
    Send,
    Tick,
)
from holdstill_protocol.messages import Freeze, Frozen, Lock, Position, RefusalCode, Thawed
from tests.twins.trace import Trace

POSITION = Position("mariadb", "10.11.19-MariaDB", "uuid", "mysql-bin.000007", 4711, "0-1-42")


_HOP_S = 0.01
"""What a call of SQS takes."""


class HostClock(Clock, Protocol):
    """A twin's clock, or a real one."""

    @property
    def now_ms(self) -> int:
        """The monotonic clock, in milliseconds."""


@dataclass
class TwinHost:
    """Both queues and the host. `unanswered`: how many commands it sleeps through.

    `faults` are raised by the sends to come, one each.
    """

    clock: HostClock
    trace: Trace
    volumes: tuple[str, ...] = ("vol-db",)
    lock: Lock = Lock.FTWRL
    freeze: bool = True
    budget_ms: int = 10_000
    intact: bool = True
    lock_failures: int = 0
    unanswered: int = 0
    answers_thaw: bool = True
    repeats: bool = False
    slow_freeze_ms: int = 0
    random: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - a seeded shuffle
    machine: Host = field(init=False)
    inbox: list[str] = field(default_factory=list)
    invisible: dict[str, str] = field(default_factory=dict)
    frozen_count: int = 0
    faults: list[Exception | None] = field(default_factory=list)
    loses: float = 0
    frozen_late_s: float = 0
    late: list[tuple[int, str]] = field(default_factory=list)
    _locked_at_ms: int = 0

    def __post_init__(self) -> None:
        self.machine = Host("recipes-db", self.budget_ms, self.lock, self.freeze, 2_000)

    # --- the queues, as the conductor sees them

    def send(self, body: str) -> None:
        """As in the port."""
        command = codec.decode_command(body)
        self.trace.append(f"send {type(command).__name__.lower()}")
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        self._pass_time()
        if self.unanswered:
            self.unanswered -= 1
            return
        if self.random.random() < self.loses:
            return
        left_ms = round((command.expires_at - self.clock.wall()).total_seconds() * 1000)
        self._drive(Arrived(command, self.clock.now_ms, self.clock.now_ms + left_ms))
        if isinstance(command, Freeze) and isinstance(self.machine.phase, Quiesced):
            self.frozen_count += 1

    def receive(self, wait_s: int) -> Sequence[Delivery]:
        """As in the port."""
        assert wait_s >= 1, "a poll of no length spins"
        self.clock.sleep(_HOP_S)
        self._pass_time()
        if not self.inbox:
            self.clock.sleep(wait_s)
            self._pass_time()
        bodies = self.inbox[:10]
        self.random.shuffle(bodies)
        if self.repeats:
            bodies = [body for body in bodies for _ in range(2)]
        self.inbox = self.inbox[10:]
        deliveries = [Delivery(body, f"receipt-{self.random.random()}") for body in bodies]
        self.invisible |= {it.receipt: it.body for it in deliveries}
        self.trace.append("receive" + "".join(f" {_kind(body)}" for body in bodies))
        return deliveries

    def delete(self, receipts: Sequence[str]) -> None:
        """As in the port."""
        self.trace.append("delete")
        for receipt in receipts:
            del self.invisible[receipt]

    # --- the host

    def held_run(self) -> str | None:
        """Return the run for which it holds still, at this instant."""
        self._pass_time()
        phase = self.machine.phase
        return phase.run_id if isinstance(phase, Quiesced) else None

    def _pass_time(self) -> None:
        self.inbox += [body for due_ms, body in self.late if due_ms <= self.clock.now_ms]
        self.late = [(due_ms, body) for due_ms, body in self.late if due_ms > self.clock.now_ms]
        self._drive(Tick(self.clock.now_ms))

    def _drive(self, event: Event) -> None:
        events = [event]
        while events:
            self.machine, effects = step(self.machine, events.pop(0))
            for effect in effects:
                events += self._perform(effect)

    def _perform(self, effect: Effect) -> list[Event]:
        now_ms = self.clock.now_ms
        match effect:
            case Preflight(run_id):
                return [PreflightPassed(run_id, self.volumes, (), now_ms)]
            case Quiesce(run_id) if self.lock_failures:
                self.lock_failures -= 1
                return [Failed(run_id, RefusalCode.LOCK_TIMEOUT, "a long query")]
            case Quiesce(run_id):
                self._locked_at_ms = now_ms - self.slow_freeze_ms
                position = None if self.lock is Lock.NONE else POSITION
                return [QuiesceHeld(run_id, self._locked_at_ms, 3, 1, position)]
            case Release(run_id):
                held_ms = now_ms - self._locked_at_ms
                return [Released(run_id, self.intact, held_ms, held_ms)]
            case Send(reply):
                lost = self.random.random() < self.loses
                if isinstance(reply, Frozen) and self.frozen_late_s:
                    due_ms = now_ms + round(self.frozen_late_s * 1000)
                    self.late.append((due_ms, codec.encode(reply)))
                elif not lost and (self.answers_thaw or not isinstance(reply, Thawed)):
                    self.inbox.append(codec.encode(reply))
            case Ignored():
                pass
        return []


def _kind(body: str) -> str:
    try:
        return type(codec.decode_reply(body)).__name__.lower()
    except Exception:  # noqa: BLE001 - noise, whatever it is
        return "noise"
