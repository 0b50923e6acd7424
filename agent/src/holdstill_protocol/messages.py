"""The values that travel between the conductor and the agent, protocol version 1."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

VERSION = 1


class Lock(StrEnum):
    """How the host's configuration lets the agent lock the database."""

    FTWRL = "ftwrl"
    BACKUP_STAGE = "backup-stage"
    NONE = "none"


class ThawReason(StrEnum):
    """Why the host thawed."""

    COMMANDED = "commanded"
    DEADLINE = "deadline"
    LOST_FREEZER = "lost-freezer"
    SHUTDOWN = "shutdown"


class RefusalCode(StrEnum):
    """Why a side would not go on with a run. The `detail` beside it says what to do."""

    UNSUPPORTED_VERSION = "unsupported-version"
    UNKNOWN_TYPE = "unknown-type"
    MALFORMED = "malformed"
    FOREIGN_TARGET = "foreign-target"
    EXPIRED = "expired"
    CLOCK_SKEW = "clock-skew"
    BUSY = "busy"
    NOT_PREPARED = "not-prepared"
    PREFLIGHT_FAILED = "preflight-failed"
    FREEZER_UNAVAILABLE = "freezer-unavailable"
    ALREADY_FROZEN = "already-frozen"
    FREEZE_FAILED = "freeze-failed"
    LOCK_FAILED = "lock-failed"
    LOCK_TIMEOUT = "lock-timeout"
    HOOK_FAILED = "hook-failed"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True)
class Command:
    """What the conductor asks of the agent.

    `seq` numbers a run's commands from 1, for the logs. `expires_at` is an aware UTC datetime:
    what was left of the conductor's patience when it sent the command, less a margin.
    """

    run_id: str
    target: str
    seq: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Prepare(Command):
    """Check the host, find the volumes, connect; hold nothing yet."""


@dataclass(frozen=True, slots=True)
class Freeze(Command):
    """Lock the database and freeze the filesystems of a run that this agent prepared."""


@dataclass(frozen=True, slots=True)
class Thaw(Command):
    """Thaw and unlock, and end the run, whether or not it was frozen."""


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """How far a replica had applied what one source wrote, in that source's own coordinates.

    `channel` is the connection's name, "" for the usual only one. `file` and `offset` (bytes) are
    None before anything was received, and while MySQL's workers apply in parallel: they are at no
    one place then, and the GTID set is what counts. `gtid` is what was applied from all sources
    together; it is empty on MySQL, where the position's own `gtid` holds that.
    """

    channel: str
    host: str
    port: int
    file: str | None
    offset: int | None
    gtid: str


@dataclass(frozen=True, slots=True)
class Position:
    """Where the binary log stood under the lock.

    `file` and `offset` (bytes) are those of SHOW MASTER STATUS (SHOW BINARY LOG STATUS since
    MySQL 8.2), None with the binary log off. `gtid` is the set of executed GTIDs, often empty.
    On a replica that is where its own log stood, and `sources` where it stood in those it follows.
    """

    engine: str
    version: str
    server_uuid: str | None
    file: str | None
    offset: int | None
    gtid: str
    sources: tuple[SourcePosition, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the agent's pre-flight: its name, whether it passed, and what was found."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the agent tells the conductor."""

    run_id: str
    target: str


@dataclass(frozen=True, slots=True)
class Prepared(Reply):
    """The host is ready to freeze.

    `volumes` are the EBS volume ids behind the mounts. `lock` and `freeze` say what the host's
    configuration will hold, and `budget_ms` for how long at most: no message can raise it.
    """

    volumes: tuple[str, ...]
    checks: tuple[Check, ...]
    lock: Lock
    freeze: bool
    budget_ms: int


@dataclass(frozen=True, slots=True)
class Frozen(Reply):
    """Lock and freeze are held. `position` is None where there is no database to lock."""

    lock_wait_ms: int
    freeze_ms: int
    position: Position | None


@dataclass(frozen=True, slots=True)
class Thawed(Reply):
    """Nothing is held any more.

    `intact`: the thaw found every filesystem still frozen by us, and the lock's connection was
    alive and the same to the end. `held_ms` is frozen to thawed, `locked_ms` locked to unlocked.
    """

    reason: ThawReason
    intact: bool
    held_ms: int
    locked_ms: int


@dataclass(frozen=True, slots=True)
class Refused(Reply):
    """The agent did not do what was asked, and holds nothing for the run."""

    code: RefusalCode
    detail: str
