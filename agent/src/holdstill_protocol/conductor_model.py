"""What the run's state machine speaks of: its phases, events, effects and transitions.

One attempt is one run. Times are milliseconds of the conductor's monotonic clock; `now_ms` comes
with the event. No clock is compared with the host's.
"""

from dataclasses import dataclass
from enum import StrEnum

from holdstill_protocol.messages import Frozen, Position, Prepared, Refused, Reply, Thawed


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the conductor waits for each step, in milliseconds.

    `freeze_ms` covers the host's bounded wait for its lock (2 s, twice) and the freeze;
    `call_ms` the snapshot call, which its client ends by itself before that.
    """

    prepare_ms: int = 60_000
    freeze_ms: int = 15_000
    call_ms: int = 10_000
    thaw_ms: int = 15_000


class CommandType(StrEnum):
    """The commands, as the machine names them."""

    PREPARE = "prepare"
    FREEZE = "freeze"
    THAW = "thaw"


class Stop(StrEnum):
    """Why the conductor ended an attempt by itself, before it made a snapshot."""

    PREPARE_TIMEOUT = "prepare-timeout"
    PLAN_REFUSED = "plan-refused"
    OUT_OF_TIME = "out-of-time"
    FREEZE_TIMEOUT = "freeze-timeout"
    THAWED_EARLY = "thawed-early"


class CallOutcome(StrEnum):
    """What is known of the snapshot call."""

    NOT_MADE = "not-made"
    RETURNED = "returned"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot as the call returned it."""

    snapshot_id: str
    volume_id: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of an attempt; `functions.domain.verdict` judges it.

    `returned_before_thaw`: the call had returned before this conductor sent the first thaw, and
    before it heard of any other.
    """

    prepared: Prepared | None = None
    frozen: Frozen | None = None
    thawed: Thawed | None = None
    refused: Refused | None = None
    stop: Stop | None = None
    detail: str = ""
    call: CallOutcome = CallOutcome.NOT_MADE
    snapshots: tuple[Snapshot, ...] = ()
    returned_before_thaw: bool = False


# --- phases


@dataclass(frozen=True, slots=True)
class New:
    """Nothing has been sent."""


@dataclass(frozen=True, slots=True)
class Preparing:
    """Waiting for the host's pre-flight."""

    until_ms: int


@dataclass(frozen=True, slots=True)
class Planning:
    """The host is ready; the conductor checks its side: volumes, lease, limits, connection."""


@dataclass(frozen=True, slots=True)
class Freezing:
    """Waiting for lock and freeze."""

    until_ms: int


@dataclass(frozen=True, slots=True)
class Calling:
    """The host is frozen; the snapshot call is under way."""

    until_ms: int


@dataclass(frozen=True, slots=True)
class Thawing:
    """Waiting for the host to say that it holds nothing; the thaw is sent again meanwhile."""

    until_ms: int
    again_at_ms: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The attempt is over; its evidence stands."""


Phase = New | Preparing | Planning | Freezing | Calling | Thawing | Ended


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt's whole state. `ends_by_ms`: when this conductor's own process ends."""

    run_id: str
    target: str
    ends_by_ms: int
    patience: Patience = Patience()
    phase: Phase = New()
    seq: int = 0
    evidence: Evidence = Evidence()


# --- events


@dataclass(frozen=True, slots=True)
class Begin:
    """Start the attempt."""

    now_ms: int


@dataclass(frozen=True, slots=True)
class Replied:
    """A reply was received, of this run or of another."""

    reply: Reply
    now_ms: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""

    now_ms: int


@dataclass(frozen=True, slots=True)
class Planned:
    """The conductor's own checks passed: it may freeze."""

    now_ms: int


@dataclass(frozen=True, slots=True)
class PlanRefused:
    """The conductor's own checks did not pass."""

    detail: str


@dataclass(frozen=True, slots=True)
class CallReturned:
    """The snapshot call returned these snapshots."""

    snapshots: tuple[Snapshot, ...]
    now_ms: int


@dataclass(frozen=True, slots=True)
class CallRefused:
    """EC2 definitely made no snapshot."""

    detail: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class CallUnknown:
    """No answer that can be trusted: a snapshot may or may not have been made."""

    detail: str
    now_ms: int


Event = Begin | Replied | Tick | Planned | PlanRefused | CallReturned | CallRefused | CallUnknown


# --- effects


@dataclass(frozen=True, slots=True)
class Send:
    """Send a command that expires in `expires_in_ms`."""

    command: CommandType
    seq: int
    expires_in_ms: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Check volumes, limits and lease, compute the exclusions, warm the connection."""

    prepared: Prepared


@dataclass(frozen=True, slots=True)
class CallSnapshot:
    """Make the snapshot, one attempt, tagged with the run and where the binary log stood."""

    position: Position | None


@dataclass(frozen=True, slots=True)
class Ignored:
    """Log that a reply changed nothing, by name."""

    name: str
    run_id: str


Effect = Send | Plan | CallSnapshot | Ignored
Step = tuple[Attempt, list[Effect]]

TRANSITIONS: frozenset[tuple[type[Phase], str, type[Phase]]] = frozenset(
    {
        (New, "begin", Preparing),
        (Preparing, "prepared", Planning),
        (Preparing, "refused", Ended),
        (Preparing, "timeout", Ended),
        (Planning, "planned", Freezing),
        (Planning, "refused, or out of time", Ended),
        (Freezing, "frozen", Calling),
        (Freezing, "refused", Ended),
        (Freezing, "thawed early", Ended),
        (Freezing, "timeout", Thawing),
        (Calling, "returned, refused or unknown", Thawing),
        (Calling, "returned after the host thawed", Ended),
        (Calling, "timeout", Thawing),
        (Thawing, "thawed", Ended),
        (Thawing, "host holds nothing", Ended),
        (Thawing, "timeout", Ended),
    }
)
"""Every change of phase that can happen; docs/protocol.md draws it, and a test compares it."""
