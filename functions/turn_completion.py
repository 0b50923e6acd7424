"""What follows an answer: when CloudFront calls an invalidation completed, and what it has cost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from functions.domain.batch import BatchState
from functions.domain.errors import CloudFrontError
from functions.domain.invalidation_record import Record
from functions.domain.sites import Sites
from functions.domain.usage import spent_usd
from functions.domain.waiting import Waiting
from functions.turn_batches import TurnBatches
from functions.turn_lease import LeaseLostError
from functions.upload_ports import UploadWorld

LOOK_AFTER_S: Final = 8.0
LOOK_EVERY_S: Final = 10.0
"""An invalidation completes within 25 s (95th percentile); each look is a call of the account."""


@dataclass
class TurnCompletion:
    """The invalidations of a distribution that are in progress. Raises as TurnBatches does."""

    world: UploadWorld
    sites: Sites
    batches: TurnBatches
    _looked_at: datetime | None = None

    def next_look_at(self, records: Sequence[Record]) -> datetime | None:
        """Return when to look whether something has completed; None where nothing is going on."""
        asked = [record.asked_at or record.stored_at for record in _going(records)]
        if not asked:
            return None
        at = min(asked) + timedelta(seconds=LOOK_AFTER_S)
        if self._looked_at is None:
            return at
        # each look is a call that a batch could be asked for with
        return max(at, self._looked_at + timedelta(seconds=LOOK_EVERY_S))

    def look(self, records: Sequence[Record]) -> int:
        """Record what has completed, if the account has a call to spare; return how much has."""
        going = _going(records)
        now = self.world.clock.wall()
        if not going or self.world.account.claim_call(now) > now:
            return 0
        self._looked_at = now
        names = [str(record.invalidation_id) for record in going]
        try:
            done = self.world.cloudfront.completed(self.batches.distribution, names)
        except CloudFrontError as error:
            self.world.log.fault("completions-not-listed", detail=str(error))
            return 0
        completed = [record for record in going if record.invalidation_id in done]
        for record in completed:
            self._complete(record)
        return len(completed)

    def measure_fees(self) -> None:
        """Measure what each of the distribution's sites has spent this month."""
        used = self.world.account.used(self.world.clock.wall())
        for site in self.sites.of_distribution(self.batches.distribution):
            usd, cap = spent_usd(site.name, used), site.monthly_cap_usd
            share = usd / cap if cap else float(usd > 0)
            self.world.measures.spent(site.name, usd, None if cap is None else share)

    def _complete(self, record: Record) -> None:
        now = self.world.clock.wall()
        new = replace(record, completed_at=now)
        if not self.world.batches.change(record, new, owner=self.batches.owner):
            raise LeaseLostError(f"{record.batch_id} was changed by another turn")
        for row in self._slowest(record):
            requested_s = ((record.created_at or now) - row.change.at).total_seconds()
            live_s = (now - row.change.at).total_seconds()
            self.world.measures.live(row.site, requested_s, live_s)

    def _slowest(self, record: Record) -> list[Waiting]:
        """Return of each site the cause that had to wait longest: a metric for each is too many."""
        slowest: dict[str, Waiting] = {}
        for row in self.batches.contents(record).causes:
            known = slowest.setdefault(row.site, row)
            if row.change.at < known.change.at:
                slowest[row.site] = row
        return list(slowest.values())


def _going(records: Sequence[Record]) -> list[Record]:
    return [
        record
        for record in records
        if record.state is BatchState.ANSWERED and record.completed_at is None
    ]
