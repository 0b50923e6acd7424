"""Both machines against each other, over a queue that drops, repeats, delays and reorders.

A discrete-event simulation: the real `host.step` and `conductor.step`, and around them a world
with a database lock, a filesystem, the freezer's own deadline and an EC2 that may not answer.
Either side can crash or stall at any moment. Every choice comes from one `random.Random`, so that
Hypothesis can drive and shrink it. Times are milliseconds on one clock, which no machine reads.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

from holdstill_protocol import conductor, conductor_model, host, host_model
from holdstill_protocol.codec import decode_command, decode_reply, encode
from holdstill_protocol.messages import (
    Check,
    Freeze,
    Lock,
    Position,
    Prepare,
    RefusalCode,
    Refused,
    Thaw,
    ThawReason,
)

TARGET = "recipes-db"
BUDGET_MS = 10_000
LOCK_SLACK_MS = 1_000
"""The server drops an idle session this much after the budget, and with it the lock."""
TICK_MS = 250
"""How often an agent that holds something looks at the clock."""
RELEASE_MS = 5
HORIZON_MS = 400_000
START = datetime(2026, 1, 1, tzinfo=UTC)
POSITION = Position("mariadb", "10.11", None, "binlog.000001", 4, "")
VOLUMES = ("vol-0a",)


@dataclass
class Hold:
    """What one run held on the host, and when; None while it is still held."""

    run_id: str
    locked_at: int
    unlocked_at: int | None = None
    frozen_at: int | None = None
    thawed_at: int | None = None


@dataclass
class Call:
    """One snapshot call."""

    run_id: str
    begun_at: int
    returned_at: int | None = None


@dataclass
class Trouble:
    """How unkind the world is, each a probability or a bound in milliseconds."""

    drop: float = 0.0
    repeat: float = 0.0
    late_ms: int = 50
    repeat_late_ms: int = 0
    agent_crash: float = 0.0
    agent_stall: float = 0.0
    agent_stop: float = 0.0
    conductor_crash: float = 0.0
    fail: float = 0.0
    slow: float = 0.0
    meddle: float = 0.0
    skew: float = 0.0
    prepare_ms: int = 60_000
    call_ms: int = 10_000
    nets: bool = True
    """Whether the server ends an idle session and the freezer has its own deadline."""


@dataclass
class World:
    """The simulation. `run()` plays attempts one after another and returns their end states."""

    random: Random
    trouble: Trouble
    now: int = 0
    host: host_model.Host = field(
        default_factory=lambda: host_model.Host(TARGET, BUDGET_MS, Lock.FTWRL, True, 2_000)
    )
    attempt: conductor_model.Attempt | None = None
    holds: list[Hold] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    transitions: set[tuple[type, type]] = field(default_factory=set)
    disobeyed: bool = False
    refused_as_busy: set[str] = field(default_factory=set)
    """By the agent's process of now: its successor has not heard of them."""
    begun_for_nobody: bool = False
    stalled_until: int = 0
    process: int = 0
    conductor_alive: bool = True
    _queue: list[tuple[int, int, Callable[[], object]]] = field(default_factory=list)
    _order: int = 0

    # --- time

    def after(self, delay_ms: float, action: Callable[[], object]) -> None:
        """Do `action` when `delay_ms` have passed."""
        self._order += 1
        heapq.heappush(self._queue, (self.now + round(delay_ms), self._order, action))

    def run(self, attempts: int = 2) -> list[conductor_model.Attempt]:
        """Play the attempts; return those whose conductor lived to see their end."""
        ended = []
        self._tick_host()
        for number in range(1, attempts + 1):
            run_id = f"{TARGET}.20260101T000000Z.{number}"
            self.conductor_alive = True
            patience = conductor_model.Patience(
                prepare_ms=self.trouble.prepare_ms, call_ms=self.trouble.call_ms
            )
            self.attempt = conductor_model.Attempt(
                run_id, TARGET, ends_by_ms=self.now + 300_000, patience=patience
            )
            self._decide(conductor_model.Begin(self.now))
            self._tick_conductor(number)
            self._play(self.now + HORIZON_MS, self._attempt_is_over)
            self._play(self.now + 15_000)
            if self.conductor_alive:
                ended.append(self.attempt)
        self._play(self.now + HORIZON_MS)
        return ended

    def _attempt_is_over(self) -> bool:
        assert self.attempt is not None
        return not self.conductor_alive or isinstance(self.attempt.phase, conductor_model.Ended)

    def _play(self, until: int, over: Callable[[], bool] = lambda: False) -> None:
        while self._queue and self._queue[0][0] <= until and not over():
            at, _, action = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            action()
        if not over():
            self.now = until

    def _chance(self, probability: float) -> bool:
        return probability > 0 and self.random.random() < probability

    def _takes(self, usual_ms: int, worst_ms: int) -> int:
        return self.random.randint(0, worst_ms if self._chance(self.trouble.slow) else usual_ms)

    # --- the queues: at least once, in any order, and in this world also never

    def _post(self, deliver: Callable[[str], None], text: str) -> None:
        if self._chance(self.trouble.drop):
            return
        late_ms, repeat_late_ms = self.trouble.late_ms, self.trouble.repeat_late_ms
        self.after(self.random.randint(0, late_ms), partial(deliver, text))
        if self._chance(self.trouble.repeat):
            self.after(self.random.randint(0, late_ms + repeat_late_ms), partial(deliver, text))

    # --- the host's side

    def _tick_host(self) -> None:
        idle = isinstance(self.host.phase, host_model.Idle)
        if self.now >= self.stalled_until:
            self._happen(host_model.Tick(self.now))
            if not idle and self._chance(self.trouble.agent_stop):
                self._happen(host_model.Shutdown())
        self.after(2_000 if idle else TICK_MS, self._tick_host)

    def _receive(self, text: str) -> None:
        if self.now < self.stalled_until:
            self.after(self.stalled_until - self.now, partial(self._receive, text))
            return
        command = decode_command(text)
        left = command.expires_at - (START + timedelta(milliseconds=self.now))
        expires_at_ms = self.now + round(left.total_seconds() * 1000)
        skew_ms = 3_600_000 if self._chance(self.trouble.skew) else 0
        self._happen(host_model.Arrived(command, self.now, expires_at_ms, skew_ms))
        if isinstance(command, Thaw) and isinstance(self.host.phase, host_model.Quiesced):
            self.disobeyed |= self.host.phase.run_id == command.run_id

    def _happen(self, event: host_model.Event) -> None:
        if self._chance(self.trouble.agent_crash):
            self._crash_agent()
            return
        if self._chance(self.trouble.agent_stall):
            self.stalled_until = self.now + self.random.randint(1_000, 30_000)
        before = type(self.host.phase)
        self.host, effects = host.step(self.host, event)
        self.transitions.add((before, type(self.host.phase)))
        for effect in effects:
            self._perform(effect)

    def _result(self, delay_ms: int, event: Callable[[], host_model.Event | None]) -> None:
        """Let an effect end after `delay_ms`, unless the process that ran it is gone by then."""
        process = self.process

        def end() -> None:
            if process != self.process:
                return
            if self.now < self.stalled_until:
                self.after(self.stalled_until - self.now, end)
                return
            if (outcome := event()) is not None:
                self._happen(outcome)

        self.after(delay_ms, end)

    def _perform(self, effect: host_model.Effect) -> None:
        match effect:
            case host_model.Preflight(run):
                self.begun_for_nobody |= run in self.refused_as_busy
                self._result(self._takes(500, 90_000), lambda: self._preflight(run))
            case host_model.Quiesce(run, expires_at_ms):
                self._result(self._takes(50, 5_000), lambda: self._lock(run, expires_at_ms))
            case host_model.Release(run):
                self._result(self._takes(RELEASE_MS, 3_000), lambda: self._release(run))
            case host_model.Send(reply):
                if isinstance(reply, Refused) and reply.code is RefusalCode.BUSY:
                    self.refused_as_busy.add(reply.run_id)
                self._post(self._hear, encode(reply))
            case host_model.Disconnect() | host_model.Ignored():
                pass

    def _preflight(self, run: str) -> host_model.Event:
        if self._chance(self.trouble.fail):
            return host_model.Failed(run, RefusalCode.PREFLIGHT_FAILED, "no room")
        return host_model.PreflightPassed(run, VOLUMES, (Check("mount", True, ""),), self.now)

    def _lock(self, run: str, expires_at_ms: int) -> host_model.Event | None:
        if self._chance(self.trouble.fail):
            return host_model.Failed(run, RefusalCode.LOCK_TIMEOUT, "a long SELECT")
        hold = Hold(run, locked_at=self.now)
        self.holds.append(hold)
        if self.trouble.nets:
            self.after(BUDGET_MS + LOCK_SLACK_MS, lambda: self._unlock(hold))
        self._result(self._takes(5, 3_000), lambda: self._freeze(hold, expires_at_ms))
        return None

    def _freeze(self, hold: Hold, expires_at_ms: int) -> host_model.Event:
        if self.now >= expires_at_ms or self._chance(self.trouble.fail):
            self._unlock(hold)
            return host_model.Failed(hold.run_id, RefusalCode.FREEZE_FAILED, "expired")
        hold.frozen_at = self.now
        process = self.process

        def deadline() -> None:
            if hold.thawed_at is None:
                hold.thawed_at = self.now
                if process == self.process:
                    self._result(0, lambda: host_model.HoldLost(hold.run_id, ThawReason.DEADLINE))

        if self.trouble.nets:
            self.after(BUDGET_MS, deadline)
        if self._chance(self.trouble.meddle):  # somebody else thaws, or kills our connection
            meddling = self.random.choice((partial(self._thaw, hold), partial(self._unlock, hold)))
            self.after(self.random.randint(0, 500), meddling)
        lock_wait_ms = self.now - hold.locked_at
        return host_model.QuiesceHeld(hold.run_id, hold.locked_at, lock_wait_ms, 1, POSITION)

    def _thaw(self, hold: Hold) -> bool:
        """Return whether it was still frozen, as FITHAW does."""
        if hold.thawed_at is not None:
            return False
        hold.thawed_at = self.now
        return True

    def _unlock(self, hold: Hold) -> bool:
        """Return whether the connection still had the lock."""
        if hold.unlocked_at is not None:
            return False
        hold.unlocked_at = self.now
        return True

    def _release(self, run: str) -> host_model.Event:
        hold = self.holds[-1]
        thawed, unlocked = self._thaw(hold), self._unlock(hold)
        return host_model.Released(run, thawed and unlocked, 0, 0)

    def _crash_agent(self) -> None:
        """SIGKILL, and systemd starts it again: the freezer and the server see the line end."""
        self.process += 1
        self.refused_as_busy.clear()
        self.host = host_model.Host(TARGET, BUDGET_MS, Lock.FTWRL, True, 2_000)
        for hold in self.holds:
            if hold.frozen_at is not None:
                self._thaw(hold)
            self._unlock(hold)

    # --- the conductor's side

    def _tick_conductor(self, number: int) -> None:
        assert self.attempt is not None
        if self._attempt_is_over() or not self.attempt.run_id.endswith(f".{number}"):
            return
        self._decide(conductor_model.Tick(self.now))
        self.after(250, lambda: self._tick_conductor(number))

    def _hear(self, text: str) -> None:
        self._decide(conductor_model.Replied(decode_reply(text), self.now))

    def _decide(self, event: conductor_model.Event) -> None:
        if not self.conductor_alive or self.attempt is None:
            return
        if self._chance(self.trouble.conductor_crash):
            self.conductor_alive = False
            return
        before = type(self.attempt.phase)
        self.attempt, effects = conductor.step(self.attempt, event)
        self.transitions.add((before, type(self.attempt.phase)))
        for effect in effects:
            self._conduct(effect)

    def _conduct(self, effect: conductor_model.Effect) -> None:
        assert self.attempt is not None
        run = self.attempt.run_id
        match effect:
            case conductor_model.Send(kind, seq, expires_in_ms):
                message = {
                    conductor_model.CommandType.PREPARE: Prepare,
                    conductor_model.CommandType.FREEZE: Freeze,
                    conductor_model.CommandType.THAW: Thaw,
                }[kind]
                expires_at = START + timedelta(milliseconds=self.now + expires_in_ms)
                self._post(self._receive, encode(message(run, TARGET, seq, expires_at)))
            case conductor_model.Plan():
                self.after(self._takes(200, 270_000), lambda: self._planned(run))
            case conductor_model.CallSnapshot():
                call = Call(run, self.now)
                self.calls.append(call)
                self.after(self._takes(300, 15_000), lambda: self._returned(call))
            case conductor_model.Ignored():
                pass

    def _planned(self, run: str) -> None:
        if self.attempt is None or self.attempt.run_id != run:
            return
        if self._chance(self.trouble.fail):
            self._decide(conductor_model.PlanRefused("a volume of another instance"))
        else:
            self._decide(conductor_model.Planned(self.now))

    def _returned(self, call: Call) -> None:
        if self.attempt is None or self.attempt.run_id != call.run_id:
            return
        if self._chance(self.trouble.fail):
            kind = self.random.choice((conductor_model.CallRefused, conductor_model.CallUnknown))
            self._decide(kind("throttled", self.now))
            return
        call.returned_at = self.now
        snapshots = tuple(conductor_model.Snapshot("snap-1", volume) for volume in VOLUMES)
        self._decide(conductor_model.CallReturned(snapshots, self.now))
