"""What the host's state machine speaks of: its phases, events, effects and transitions.

Times are milliseconds of the host's monotonic clock; `now_ms` comes with the event.
"""

from dataclasses import dataclass

from holdstill_protocol.messages import (
    Check,
    Command,
    Lock,
    Position,
    RefusalCode,
    Reply,
    ThawReason,
)

# --- phases


@dataclass(frozen=True, slots=True)
class Idle:
    """No run; nothing held."""


@dataclass(frozen=True, slots=True)
class Preparing:
    """The pre-flight is running; nothing held."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Prepared: the freezer and the database are connected; nothing held."""

    run_id: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class Quiescing:
    """Taking the lock and freezing. `unwanted`: why it is to be given back as soon as held."""

    run_id: str
    unwanted: ThawReason | None = None


@dataclass(frozen=True, slots=True)
class Quiesced:
    """Lock and freeze are held, at most until `thaw_by_ms`."""

    run_id: str
    thaw_by_ms: int


@dataclass(frozen=True, slots=True)
class Releasing:
    """Thawing and unlocking."""

    run_id: str
    reason: ThawReason


Phase = Idle | Preparing | Ready | Quiescing | Quiesced | Releasing


@dataclass(frozen=True, slots=True)
class Host:
    """The host's whole state: its configuration, its phase, and the runs that are over."""

    target: str
    budget_ms: int
    lock: Lock
    freeze: bool
    max_clock_skew_ms: int
    phase: Phase = Idle()
    over: tuple[str, ...] = ()


# --- events


@dataclass(frozen=True, slots=True)
class Arrived:
    """A command was received. `skew_ms`: this host's wall clock less the queue's."""

    command: Command
    now_ms: int
    expires_at_ms: int
    skew_ms: int = 0


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""

    now_ms: int


@dataclass(frozen=True, slots=True)
class PreflightPassed:
    """The host can be frozen; freezer and database are connected."""

    run_id: str
    volumes: tuple[str, ...]
    checks: tuple[Check, ...]
    now_ms: int


@dataclass(frozen=True, slots=True)
class QuiesceHeld:
    """Lock and freeze are held.

    The budget counts from `locked_at_ms`, when the lock was asked for: writers wait from then on.
    """

    run_id: str
    locked_at_ms: int
    lock_wait_ms: int
    freeze_ms: int
    position: Position | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The pre-flight or the quiesce did not succeed; everything it took was given back."""

    run_id: str
    code: RefusalCode
    detail: str


@dataclass(frozen=True, slots=True)
class HoldLost:
    """The freezer thawed by itself, or its line ended: the freeze is over or soon will be."""

    run_id: str
    reason: ThawReason


@dataclass(frozen=True, slots=True)
class Released:
    """Thawed and unlocked. `intact` as in `Thawed`."""

    run_id: str
    intact: bool
    held_ms: int
    locked_ms: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The agent is told to stop."""


Event = Arrived | Tick | PreflightPassed | QuiesceHeld | Failed | HoldLost | Released | Shutdown


# --- effects


@dataclass(frozen=True, slots=True)
class Preflight:
    """Check the host, connect the freezer and the database. Give up at `until_ms`."""

    run_id: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class Quiesce:
    """Lock, read the position, freeze. Freeze nothing once `expires_at_ms` has passed."""

    run_id: str
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class Release:
    """Thaw, unlock, prove that the lock was held until then, disconnect."""

    run_id: str
    reason: ThawReason


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close what the pre-flight connected; nothing is held."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send a reply."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Ignored:
    """Log that a command changed nothing, by name."""

    name: str
    run_id: str


Effect = Preflight | Quiesce | Release | Disconnect | Send | Ignored
Step = tuple[Host, list[Effect]]

TRANSITIONS: frozenset[tuple[type[Phase], str, type[Phase]]] = frozenset(
    {
        (Idle, "prepare", Preparing),
        (Preparing, "passed", Ready),
        (Preparing, "failed", Idle),
        (Preparing, "thaw", Idle),
        (Preparing, "shutdown", Idle),
        (Ready, "prepare of another run", Preparing),
        (Ready, "freeze", Quiescing),
        (Ready, "freeze refused", Idle),
        (Ready, "thaw", Idle),
        (Ready, "no freeze in time", Idle),
        (Ready, "shutdown", Idle),
        (Quiescing, "held", Quiesced),
        (Quiescing, "held, but unwanted", Releasing),
        (Quiescing, "failed", Idle),
        (Quiescing, "thaw or shutdown", Quiescing),
        (Quiesced, "thaw", Releasing),
        (Quiesced, "deadline", Releasing),
        (Quiesced, "hold lost", Releasing),
        (Quiesced, "shutdown", Releasing),
        (Releasing, "released", Idle),
    }
)
"""Every change of phase that can happen; docs/protocol.md draws it, and a test compares it."""
