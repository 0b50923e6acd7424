"""What follows an answer: when CloudFront calls an invalidation completed, and what it has cost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from functions.domain.completion import (
    GIVEN_UP_AFTER_S,
    going_on,
    next_look_at,
    to_give_up,
)
from functions.domain.errors import CloudFrontError, NoSuchDistributionError
from functions.domain.invalidation_record import Record
from functions.domain.sites import Sites
from functions.domain.usage import spent_usd
from functions.domain.waiting import Waiting
from functions.turn_batches import TurnBatches
from functions.turn_lease import LeaseLostError
from functions.upload_ports import UploadWorld

_GONE: Final = "CloudFront has no such distribution any more"
_TOO_OLD: Final = f"CloudFront was not seen to complete it within {GIVEN_UP_AFTER_S / 3600:.0f} h"


@dataclass
class TurnCompletion:
    """The invalidations of a distribution that are in progress. Raises as TurnBatches does."""

    world: UploadWorld
    sites: Sites
    batches: TurnBatches

    def next_look_at(self, records: Sequence[Record]) -> datetime | None:
        """Return when to look whether something has completed; None where nothing is going on."""
        return next_look_at(going_on(records))

    def look(self, records: Sequence[Record]) -> int:
        """Record what is over, if the account has a call to spare; return how much is."""
        going = going_on(records)
        now = self.world.clock.wall()
        if not going or self.world.account.claim_call(now) > now:
            return 0
        try:
            completed = self._completed(going)
            given_up = [one for one in going if one not in completed and to_give_up(one, now)]
            why = _TOO_OLD
        except NoSuchDistributionError:
            completed, given_up, why = [], going, _GONE
        for record in completed:
            self._complete(record)
        for record in given_up:
            self._give_up(record, why)
        if left := [one for one in going if one not in completed and one not in given_up]:
            # each look is a call that a batch could be asked for with: so other turns are told
            self._change(left[0], replace(left[0], looked_at=now))
        return len(completed) + len(given_up)

    def _completed(self, going: Sequence[Record]) -> Sequence[Record]:
        """Return what CloudFront calls completed, nothing if it does not tell."""
        names = [str(record.invalidation_id) for record in going]
        try:
            done = self.world.cloudfront.completed(self.batches.distribution, names)
        except NoSuchDistributionError:
            raise
        except CloudFrontError as error:
            self.world.log.fault("completions-not-listed", detail=str(error))
            return []
        return [record for record in going if record.invalidation_id in done]

    def measure_fees(self) -> None:
        """Measure what each of the distribution's sites has spent this month."""
        used = self.world.account.used(self.world.clock.wall())
        for site in self.sites.of_distribution(self.batches.distribution):
            usd, cap = spent_usd(site.name, used), site.monthly_cap_usd
            share = usd / cap if cap else float(usd > 0)
            self.world.measures.spent(site.name, usd, None if cap is None else share)

    def _complete(self, record: Record) -> None:
        now = self.world.clock.wall()
        self._change(record, replace(record, completed_at=now))
        for row in self._slowest(record):
            requested_s = ((record.created_at or now) - row.change.at).total_seconds()
            live_s = (now - row.change.at).total_seconds()
            self.world.measures.live(row.site, requested_s, live_s)

    def _give_up(self, record: Record, why: str) -> None:
        """Close a record without a completion that nobody has seen, and measure none."""
        now = self.world.clock.wall()
        self._change(record, replace(record, given_up_at=now, why=why))
        self.world.log.fault("completion-given-up", batch=record.batch_id, why=why)

    def _change(self, old: Record, new: Record) -> None:
        if not self.world.batches.change(old, new, owner=self.batches.owner):
            raise LeaseLostError(f"{old.batch_id} was changed by another turn")

    def _slowest(self, record: Record) -> list[Waiting]:
        """Return of each site the cause that had to wait longest: a metric for each is too many."""
        slowest: dict[str, Waiting] = {}
        for row in self.batches.contents(record).causes:
            known = slowest.setdefault(row.site, row)
            if row.change.at < known.change.at:
                slowest[row.site] = row
        return list(slowest.values())
