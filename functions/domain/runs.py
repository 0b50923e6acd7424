"""A run's record: what is written of it when it begins, after its attempts, and when it is dead."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from functions.domain import instants
from functions.domain.requests import BackupRequest
from functions.domain.timings import Timings
from functions.domain.verdict import Judgement, Verdict
from holdstill_protocol.conductor_model import Evidence
from holdstill_protocol.messages import Frozen

Document = Mapping[str, object]
"""What a record holds: text, whole numbers, flags, lists and documents; no None."""

MAX_RECORD: Final = 380_000
"""Characters of a record as JSON in ASCII, which is no less than its bytes in the table.

DynamoDB takes 400 KiB a row. What a host says can be as long as its replies: 262,144 characters.
"""

GTID_BEGINNING: Final = 1_000
"""Characters of a GTID set that are kept where it is not kept as a whole."""


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

    def document(self, most_gtid: int = GTID_BEGINNING) -> Document:
        """Return all that is known, of the GTID set at most so many characters."""
        evidence = self.evidence
        document = {
            **self.outline(),
            "detail": evidence.detail or None,
            "prepared": evidence.prepared and asdict(evidence.prepared),
            "frozen": evidence.frozen and _frozen(evidence.frozen, most_gtid),
            "thawed": evidence.thawed and asdict(evidence.thawed),
            "refused": evidence.refused and asdict(evidence.refused),
        }
        return _without_nothing(document)

    def outline(self) -> Document:
        """Return what is known by this side alone: it is short, whatever the host has said."""
        document = {
            "run_id": self.run_id,
            "started_at": instants.text(self.started_at),
            "verdict": self.judgement.verdict,
            "reasons": self.judgement.reasons,
            "call": self.evidence.call,
            "stop": self.evidence.stop,
            "snapshots": tuple(asdict(snapshot) for snapshot in self.evidence.snapshots),
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
        """Return the run's record, with as much of each attempt as fits into a row.

        The GTID set is whole for the last attempt that made a snapshot, which is who needs it.
        """
        made = [attempt for attempt in self.attempts if attempt.evidence.snapshots]
        described: tuple[Callable[[AttemptRecord], Document], ...] = (
            lambda it: it.document(MAX_RECORD if it in made[-1:] else GTID_BEGINNING),
            AttemptRecord.document,
            AttemptRecord.outline,
        )
        records = [self._document(attempt) for attempt in described]
        return next(filter(_fits, records), records[-1])

    def _document(self, described: Callable[[AttemptRecord], Document]) -> Document:
        return {
            **self.opened.document(),
            "state": RunState.SUCCEEDED if self.succeeded else RunState.FAILED,
            "ended_at": instants.text(self.ended_at),
            "reasons": self.reasons,
            "attempts": tuple(described(attempt) for attempt in self.attempts),
            **({"verdict": self.verdict} if self.verdict else {}),
        }


@dataclass(frozen=True, slots=True)
class OverdueRun:
    """An open run whose deadline has passed."""

    target: str
    scheduled_at: str
    run: str
    deadline_at: str


def _fits(record: Document) -> bool:
    return len(json.dumps(record)) <= MAX_RECORD


def _frozen(frozen: Frozen, most_gtid: int) -> Document:
    document = asdict(frozen)
    position = document["position"]
    for where in (position, *position["sources"]) if position else ():
        if len(where["gtid"]) > most_gtid:
            where["gtid"] = where["gtid"][:most_gtid] + "…"
    return document


def _without_nothing(value: Mapping[str, object]) -> Document:
    return {key: _plain(item) for key, item in value.items() if item is not None}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return _without_nothing(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_plain(item) for item in value)
    return value
