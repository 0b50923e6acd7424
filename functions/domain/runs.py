"""A run's record: what is written of it when it begins, after its attempts, and when it is dead."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from functions.domain import instants
from functions.domain.requests import BackupRequest
from functions.domain.timings import Timings
from functions.domain.verdict import Judgement, Verdict
from holdstill_protocol.conductor_model import Evidence

Document = Mapping[str, object]
"""What a record holds: text, whole numbers, flags, lists and documents; no None."""


class RunState(StrEnum):
    """Where a run stands."""

    OPEN = "open"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has begun and must have ended by `deadline_at`.

    `token` is the invocation's own: it tells a write that this side repeated, because AWS's
    answer was lost, from one that another invocation made.
    """

    request: BackupRequest
    token: str
    started_at: datetime
    deadline_at: datetime

    def document(self) -> Document:
        """Return the record of the run as it begins."""
        return {
            "target": self.request.target,
            "run": self.request.name,
            "scheduled_at": instants.text(self.request.scheduled_at),
            "instance": self.request.instance,
            "token": self.token,
            "state": RunState.OPEN,
            "started_at": instants.text(self.started_at),
            "deadline_at": instants.text(self.deadline_at),
        }


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt: what was seen, what it proves, how long it took."""

    run_id: str
    started_at: datetime
    evidence: Evidence
    judgement: Judgement
    timings: Timings

    @property
    def succeeded(self) -> bool:
        """Whether its snapshots are the best that the host's configuration allows."""
        return self.judgement.is_best(self.evidence.prepared)

    def document(self) -> Document:
        """Return all that is known, the full position with its GTID set included."""
        evidence = self.evidence
        document = {
            "run_id": self.run_id,
            "started_at": instants.text(self.started_at),
            "verdict": self.judgement.verdict,
            "reasons": self.judgement.reasons,
            "call": evidence.call,
            "stop": evidence.stop,
            "detail": evidence.detail or None,
            "snapshots": tuple(asdict(snapshot) for snapshot in evidence.snapshots),
            "prepared": evidence.prepared and asdict(evidence.prepared),
            "frozen": evidence.frozen and asdict(evidence.frozen),
            "thawed": evidence.thawed and asdict(evidence.thawed),
            "refused": evidence.refused and asdict(evidence.refused),
            "timings": asdict(self.timings),
        }
        return _without_nothing(document)


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that its conductor ended. `why`: what kept it from (another) attempt, if anything."""

    opened: OpenRun
    ended_at: datetime
    attempts: tuple[AttemptRecord, ...]
    why: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the last attempt did."""
        return bool(self.attempts) and self.attempts[-1].succeeded

    @property
    def verdict(self) -> Verdict | None:
        """The verdict of the last attempt that made a snapshot."""
        verdicts = [attempt.judgement.verdict for attempt in self.attempts]
        return next((verdict for verdict in reversed(verdicts) if verdict), None)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What broke the last attempt, and what kept the run from another."""
        last = self.attempts[-1].judgement.reasons if self.attempts else ()
        return (*last, self.why) if self.why else last

    def document(self) -> Document:
        """Return the run's whole record."""
        return {
            **self.opened.document(),
            "state": RunState.SUCCEEDED if self.succeeded else RunState.FAILED,
            "ended_at": instants.text(self.ended_at),
            "reasons": self.reasons,
            "attempts": tuple(attempt.document() for attempt in self.attempts),
            **({"verdict": self.verdict} if self.verdict else {}),
        }


@dataclass(frozen=True, slots=True)
class OverdueRun:
    """An open run whose deadline has passed."""

    target: str
    scheduled_at: str
    run: str
    deadline_at: str


def _without_nothing(value: Mapping[str, object]) -> Document:
    return {key: _plain(item) for key, item in value.items() if item is not None}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return _without_nothing(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_plain(item) for item in value)
    return value
