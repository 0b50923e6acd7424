"""A distribution's batches: each is stored before it is asked for, and settled when it is answered.

Whatever crashes, the next turn finds in the table how far each batch has come, and goes on there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Final

from functions.domain import instants
from functions.domain.batch import (
    Ask,
    Batch,
    BatchState,
    Event,
    LookUp,
    Made,
    Missing,
    Refused,
    SetAside,
    Store,
    Unanswered,
    step,
)
from functions.domain.claims import divided, paths_by_site, unclaimed
from functions.domain.coverage import Invalidation
from functions.domain.errors import CloudFrontError, NotFoundYetError
from functions.domain.invalidation_limits import Meaning
from functions.domain.invalidation_record import Aside, Contents, Record
from functions.domain.paths import Path
from functions.domain.pauses import NO_ANSWER, ask_again_at, meaning_told, told
from functions.domain.waiting import Waiting
from functions.turn_lease import LeaseLostError
from functions.upload_ports import UploadWorld

MOST_ASKED: Final = 6
"""How often in a row a batch is asked for without an answer: some four minutes."""

_MOST_KEYS: Final = 100
"""Of those behind a path that is set aside: a row of the table holds no more than 400 KB."""


@dataclass
class TurnBatches:
    """The batches of `distribution`, for the turn of `owner`, who has its lease.

    Every method raises LeaseLostError where another turn has changed a batch, and TableError.
    """

    world: UploadWorld
    distribution: str
    owner: str
    made: int = 0
    """The calls of this turn that were answered with an invalidation."""
    _read: dict[str, Contents] = field(default_factory=dict)
    _begun: int = 0

    def contents(self, record: Record) -> Contents:
        """Return a batch's contents, read once: they never change."""
        if record.batch_id not in self._read:
            self._read[record.batch_id] = self.world.batches.contents(record)
        return self._read[record.batch_id]

    def unclaimed(self, rows: Sequence[Waiting], records: Sequence[Record]) -> tuple[Waiting, ...]:
        """Return the rows that wait for none of the open batches."""
        return unclaimed(rows, [self.contents(one) for one in records if not one.settled])

    def invalidations(self, since: datetime) -> list[Invalidation]:
        """Return what CloudFront has made since, of which everybody's rows may be covered."""
        return [
            Invalidation.of(map(Path, self.contents(record).paths), record.created_at)
            for record in self.world.batches.answered_since(self.distribution, since)
        ]

    def begin(self, contents: Contents) -> None:
        """Store a new batch and ask for it. The call was claimed."""
        now = self.world.clock.wall()
        self._begun += 1
        batch_id = f"{instants.exact(now)}-{self.owner[:12]}-{self._begun}"
        batch, _ = step(Batch(self.distribution, batch_id, contents.paths), Ask())
        record = replace(Record.of(batch, now), asked_at=now)
        if not self.world.batches.store(record, contents, self.owner):
            raise LeaseLostError(f"{batch_id} was not stored")
        self._read[batch_id] = contents
        for path, reason in contents.reasons.items():
            self.world.log.event("wildcard-chosen", batch=batch_id, path=path, reason=reason)
        self._call(record, contents)

    def go_on(self, record: Record) -> datetime | None:
        """Do what is next for an open batch; return when to come again if it is not time yet.

        None is also for one that only has to complete.
        """
        if record.state is BatchState.ANSWERED:
            if not record.settled:
                self._settle(record, self.contents(record))
            return None
        now = self.world.clock.wall()
        at = max(ask_again_at(record), now)
        if at <= now:
            at = self.world.account.claim_call(now)
        if at > now:
            return at
        contents = self.contents(record)
        if _to_look_up(record):
            self._look_up(record, contents)
            return None
        batch, _ = step(record.batch(contents), Ask())
        asked = self._changed(record, replace(record, state=batch.state, asked_at=now))
        self._call(asked, contents)
        return None

    def _call(self, record: Record, contents: Contents) -> None:
        """Make the one call of a record that says so already."""
        reference = record.batch(contents).reference
        answer = self.world.cloudfront.create(self.distribution, reference, contents.paths)
        self._measure(record, answer)
        self._tell(record, contents, answer)

    def _look_up(self, record: Record, contents: Contents) -> None:
        batch = record.batch(contents)
        wanted = LookUp(batch.reference, batch.paths, record.stored_at, record.looked)
        looked = record.looked
        try:
            found = self.world.cloudfront.look_up(self.distribution, wanted)
        except NotFoundYetError as error:
            looked += error.looked
        except CloudFrontError as error:
            self.world.log.fault("batch-not-looked-up", batch=record.batch_id, detail=str(error))
        else:
            self._tell(record, contents, found)
            return
        now = self.world.clock.wall()
        self._changed(record, replace(record, looked_at=now, looked=looked))

    def _tell(self, record: Record, contents: Contents, event: Event) -> None:
        """Write what an answer makes of a batch, with all that follows from it in one write."""
        batch, effects = step(record.batch(contents), event)
        now = self.world.clock.wall()
        refused = batch.state is BatchState.REFUSED
        new = replace(
            record,
            state=batch.state,
            invalidation_id=batch.invalidation_id,
            created_at=batch.created_at,
            tries=0 if isinstance(event, Made) else record.tries + 1,
            why=_why(event, meaning_told(record.why)),
            settled=refused,
        )
        halves = [effect.batch for effect in effects if isinstance(effect, Store)]
        parts = divided(contents, [half.paths for half in halves])
        refusals = [effect for effect in effects if isinstance(effect, SetAside)]
        aside = [_aside(record, contents, effect, now) for effect in refusals]
        made = isinstance(event, Made)
        new = self._changed(
            record,
            new,
            stored=[(Record.of(half, now), part) for half, part in zip(halves, parts, strict=True)],
            aside=aside,
            used=paths_by_site(contents) if made else None,
        )
        for half, part in zip(halves, parts, strict=True):
            self._read[half.batch_id] = part
        for one in aside:
            self.world.log.fault("path-set-aside", path=one.path, why=one.why, keys=one.keys)
            self.world.measures.set_aside(self.distribution, 1)
            # those that it only covered go on waiting, and are not cleared by it any more
            self.world.uploads.settle([row for row in contents.causes if row.path.text == one.path])
        if made:
            self.made += 1
            self._settle(new, contents)

    def _settle(self, record: Record, contents: Contents) -> None:
        """Delete the rows that CloudFront has taken, then say so: in this order, for a crash."""
        self.world.uploads.settle(contents.causes)
        self.world.batches.forgive(self.distribution, contents.paths)
        self._changed(record, replace(record, settled=True))

    def _changed(
        self,
        old: Record,
        new: Record,
        *,
        stored: Sequence[tuple[Record, Contents]] = (),
        aside: Sequence[Aside] = (),
        used: Mapping[str, int] | None = None,
    ) -> Record:
        written = self.world.batches.change(
            old, new, owner=self.owner, stored=stored, aside=aside, used=used
        )
        if not written:
            raise LeaseLostError(f"{new.batch_id} was changed by another turn")
        return new

    def _measure(self, record: Record, answer: Made | Refused | Unanswered) -> None:
        match answer:
            case Made():
                outcome = "made"
            case Refused(meaning, _):
                outcome = meaning
            case Unanswered():
                outcome = "unknown"
        self.world.measures.called(self.distribution, outcome, record.exact, record.wildcards)
        self.world.log.event(
            "invalidation-asked",
            batch=record.batch_id,
            outcome=outcome,
            exact=record.exact,
            wildcards=record.wildcards,
            tries=record.tries + 1,
            why=_why(answer, Meaning.UNKNOWN),
        )


def _why(event: Event, before: Meaning) -> str:
    """Return what a record keeps of an answer; `before`: of the one before it."""
    match event:
        case Refused(meaning, why):
            return told(meaning, why)
        case Unanswered():
            return told(Meaning.UNKNOWN, NO_ANSWER)
        case Missing():
            return told(before, "and no invalidation has its reference and paths")
        case _:
            return ""


def _to_look_up(record: Record) -> bool:
    """Return whether to look for the batch at CloudFront, and not to ask for it once more.

    Because its reference is taken; or because asking is in vain: what is in it may be why, and all
    that has come since would wait behind it.
    """
    if record.state is not BatchState.UNKNOWN:
        return False
    return record.tries >= MOST_ASKED or meaning_told(record.why) is Meaning.REFERENCE_TAKEN


def _aside(record: Record, contents: Contents, refused: SetAside, now: datetime) -> Aside:
    behind = (row.change.key for row in contents.causes if row.path.text == refused.path)
    keys = tuple(islice(dict.fromkeys(behind), _MOST_KEYS))
    return Aside(record.distribution, refused.path, refused.why, now, keys)
