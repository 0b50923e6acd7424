"""A batch of paths for one distribution, from its storing to its end, as a machine without I/O.

CloudFront knows a batch by its caller reference. Asked again with the same reference and the same
paths it makes nothing new; so both are stored before the first call, and stay together while the
outcome of any call is unknown. Only when it is certain that nothing was made are the paths freed,
for another batch with another reference.

| state | Ask | Made | Refused: throttled, full, forbidden | Refused: bad paths | Refused: reference taken | Unanswered | Missing |
|---|---|---|---|---|---|---|---|
| stored | asked | answered | - | - | - | - | - |
| asked | asked-again | answered | refused, freed | refused, halved | unknown, looked up | unknown | - |
| asked-again | asked-again | answered | unknown | refused, halved | unknown, looked up | unknown | - |
| unknown | asked-again | answered | - | refused, halved | unknown, looked up | - | refused, freed |
| answered | - | - | - | - | - | - | - |
| refused | - | - | - | - | - | - | - |
"""  # noqa: E501 - a table's row is a line

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from functions.domain.invalidation_limits import Meaning, halves

MAX_REFERENCE: Final = 128
"""Characters. CloudFront documents no limit; this is what it allows of a distribution's comment."""


def caller_reference(distribution: str, batch_id: str) -> str:
    """Return the one reference of a batch; no two batches have the same.

    Where it would be too long its SHA-256 stands for it.
    """
    reference = f"holdstill/{distribution}/{batch_id}"
    if len(reference) <= MAX_REFERENCE:
        return reference
    return f"holdstill-sha256/{hashlib.sha256(reference.encode()).hexdigest()}"


class BatchState(StrEnum):
    """What is known of a batch."""

    STORED = "stored"
    """Nobody has asked CloudFront for it."""
    ASKED = "asked"
    """Its first call is going on, or who made it has crashed."""
    ASKED_AGAIN = "asked-again"
    """A later call is; what became of an earlier one is not known."""
    UNKNOWN = "unknown"
    """No call is going on, and it may have been made."""
    ANSWERED = "answered"
    """CloudFront has it. Nothing can change this."""
    REFUSED = "refused"
    """CloudFront does not have it and is not asked again; its paths have gone elsewhere."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Paths in the order in which they are sent: they are compared with those of a repeated call.

    `invalidation_id` and `created_at`: as CloudFront answered. `created_at` of a repeated call is
    the first one's, so it says truly what the batch covers.
    """

    distribution: str
    batch_id: str
    paths: tuple[str, ...]
    state: BatchState = BatchState.STORED
    invalidation_id: str | None = None
    created_at: datetime | None = None

    @property
    def reference(self) -> str:
        """The caller reference under which these paths, and never others, are asked for."""
        return caller_reference(self.distribution, self.batch_id)

    @property
    def over(self) -> bool:
        """Whether nothing that happens can matter to it any more."""
        return self.state in (BatchState.ANSWERED, BatchState.REFUSED)


@dataclass(frozen=True, slots=True)
class Ask:
    """Its turn has come, by the limits: it is about to be asked for, perhaps after a crash."""


@dataclass(frozen=True, slots=True)
class Made:
    """CloudFront answered that it has it, or it was found when it was looked up."""

    invalidation_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """CloudFront answered with an error; `why` is its code and message."""

    meaning: Meaning
    why: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No answer came, or one that tells nothing (a time-out, a 5xx)."""


@dataclass(frozen=True, slots=True)
class Missing:
    """It was looked up, and no invalidation has both its reference and its paths."""


Event = Ask | Made | Refused | Unanswered | Missing


@dataclass(frozen=True, slots=True)
class Call:
    """Call CreateInvalidation once, when the new state is written, with exactly these."""

    reference: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LookUp:
    """Find the invalidation of this reference and these paths: list them, and get the newest.

    Report Made or Missing. Listing gives no reference, GetInvalidation does, and the paths.
    `since`: no call for it was made before. `looked`: at how many it was looked for in vain.
    """

    reference: str
    paths: tuple[str, ...]
    since: datetime | None = None
    looked: int = 0


@dataclass(frozen=True, slots=True)
class Free:
    """Let the paths wait again; in one write with the new state."""

    paths: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Store:
    """Store this batch; in one write with the new state."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class SetAside:
    """CloudFront will never take this path: keep it with its reason, alarmed, and go on."""

    path: str
    why: str


Effect = Call | LookUp | Free | Store | SetAside


def step(batch: Batch, event: Event) -> tuple[Batch, list[Effect]]:
    """Return the batch after an event and what to do, once the batch is written and not before.

    What changes nothing has no effects: an answer may come late, from a call whose maker had lost
    its turn. A refusal tells of its own call only: while an earlier one is without an answer the
    paths are not free, or they would be cleared and paid for twice.
    """
    if batch.over:
        return batch, []
    match event:
        case Ask():
            first = batch.state is BatchState.STORED
            asked = replace(batch, state=BatchState.ASKED if first else BatchState.ASKED_AGAIN)
            return asked, [Call(batch.reference, batch.paths)]
        case Made(invalidation_id, created_at):
            return replace(
                batch,
                state=BatchState.ANSWERED,
                invalidation_id=invalidation_id,
                created_at=created_at,
            ), []
        case _ if batch.state is BatchState.STORED:
            return batch, []
        case Refused(meaning, why):
            return _after_refusal(batch, meaning, why)
        case Unanswered():
            return _unknown(batch), []
        case Missing():
            if batch.state is not BatchState.UNKNOWN:
                return batch, []
            return _refused(batch), [Free(batch.paths, "the caller reference was taken")]


def _after_refusal(batch: Batch, meaning: Meaning, why: str) -> tuple[Batch, list[Effect]]:
    match meaning:
        case Meaning.BAD_PATHS:
            # the same paths are refused each time: so no earlier call was taken either
            return _refused(batch), _parts(batch, why)
        case Meaning.REFERENCE_TAKEN:
            # nobody else has our references: an earlier call was taken, only its answer was lost
            return _unknown(batch), [LookUp(batch.reference, batch.paths)]
        case Meaning.THROTTLED | Meaning.FULL | Meaning.FORBIDDEN:
            if batch.state is BatchState.ASKED:
                return _refused(batch), [Free(batch.paths, why)]
            return _unknown(batch), []
        case Meaning.UNKNOWN:
            return _unknown(batch), []


def _unknown(batch: Batch) -> Batch:
    return replace(batch, state=BatchState.UNKNOWN)


def _refused(batch: Batch) -> Batch:
    return replace(batch, state=BatchState.REFUSED)


def _parts(batch: Batch, why: str) -> list[Effect]:
    """Return what becomes of refused paths: halves that are asked for alone, or one set aside.

    The halves' ids follow from the batch's, so that a crash in between cannot make them twice.
    Coalesced anew, the bad path would spoil the next batch as well.
    """
    if len(batch.paths) == 1:
        return [SetAside(batch.paths[0], why)]
    return [
        Store(Batch(batch.distribution, f"{batch.batch_id}.{number}", half))
        for number, half in enumerate(halves(batch.paths), start=1)
    ]
