"""One distribution's turn: from what waits to CloudFront, one turn at a time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from functions.domain.batch import BatchState
from functions.domain.claims import covered
from functions.domain.completion import LOOK_EVERY_S
from functions.domain.coverage import MARGIN_S
from functions.domain.invalidation_limits import CALL_EVERY_S, room
from functions.domain.invalidation_record import Record
from functions.domain.pauses import ENOUGH_RECORDS, next_batch_at
from functions.domain.sites import Sites
from functions.domain.waiting import Waiting
from functions.turn_arrivals import LOOK_AGAIN_S, Arrivals
from functions.turn_batches import TurnBatches
from functions.turn_completion import TurnCompletion
from functions.turn_lease import LeaseLostError, TurnLease
from functions.turn_plan import TurnPlan
from functions.upload_ports import UploadWorld

NEAR_S: Final = 5.0
"""What is due so soon is waited for; for what is later the function is not kept running."""

RESERVE_S: Final = 40.0
"""Of the function's time: no round is begun that may list, call and write beyond its end."""

LONGEST_WAKE_S: Final = 900


@dataclass
class Turn:
    """One invocation for one distribution. `owner`: a name that no other invocation has.

    `ends_at_ms`: when, on the clock, its process ends. Nothing is remembered between turns.
    """

    world: UploadWorld
    sites: Sites
    distribution: str
    owner: str
    ends_at_ms: int
    _known: Sequence[Waiting] | None = field(default=(), init=False)
    """What the last round saw wait; None where it did not look, for all of it has to."""
    _halves_next: bool = field(default=False, init=False)
    """Halves of a refused batch and what has come since take turns: neither stops the other."""

    def __post_init__(self) -> None:
        world, distribution = self.world, self.distribution
        self._arrivals = Arrivals()
        self._lease = TurnLease(world.leases, world.clock, distribution, self.owner)
        self._batches = TurnBatches(world, distribution, self.owner)
        self._plan = TurnPlan(world, self.sites, distribution)
        self._completion = TurnCompletion(world, self.sites, self._batches)

    def take(self) -> None:
        """Do all that can be done now, and see to it that the rest is done later.

        Raise TableError or QueueError; then what is left is found by the next turn.
        """
        while self._lease.take():
            try:
                due_at = self._rounds()
            except LeaseLostError as error:
                self.world.log.event("lease-lost", detail=str(error))
                return
            finally:
                self._lease.release()
            if due_at is not None:
                self._wake(due_at)
            goes_on = self._has_news()
            if goes_on and not self._has_time():
                self._wake(self.world.clock.wall())
                goes_on = False
            if not goes_on:
                self._end()
                return
        self.world.log.event("turn-is-anothers", distribution=self.distribution)
        measure_oldest(self.world, self.distribution)

    def _end(self) -> None:
        measure_oldest(self.world, self.distribution)
        if self._batches.made:
            self._completion.measure_fees()

    def _has_news(self) -> bool:
        """Return whether rows have come that this turn never saw.

        Whoever wrote them woke somebody, who found the lease taken and left.
        """
        if self._known is None:
            return False  # the wake that was sent is theirs as well
        if not self._known:
            return self.world.uploads.oldest(self.distribution) is not None
        known = {row.row_id for row in self._known}
        rows = self.world.uploads.waiting(self.distribution)
        return any(row.row_id not in known for row in rows)

    def _rounds(self) -> datetime | None:
        """Go round until there is nothing to do now; return when there will be, None for never."""
        while True:
            if not self._has_time():
                return self.world.clock.wall()
            self._lease.renew()
            due_at = self._round()
            if due_at is None:
                return None
            wait_s = (due_at - self.world.clock.wall()).total_seconds()
            if wait_s > NEAR_S:
                return due_at
            self.world.clock.sleep(wait_s)

    def _round(self) -> datetime | None:
        """Do what is next; return when to go round again, which may be at once, or None."""
        now = self.world.clock.wall()
        records = self.world.batches.open(self.distribution)
        unfinished = [record for record in records if not record.settled]
        halves = [record for record in unfinished if record.state is BatchState.STORED]
        later = self._go_on([record for record in unfinished if record not in halves])
        if later is None:
            return now  # something has changed: look at all of it anew
        if (paused_until := self._paused_until(records)) and paused_until > now:
            return self._pause(paused_until, records, later)
        rows = self._known = self.world.uploads.waiting(self.distribution)
        free = self._batches.unclaimed(rows, records)
        if free and self._settle_covered(free):
            return now
        if halves and self._is_to_look(records, now):
            return self._complete(records, [*later, now + timedelta(seconds=CALL_EVERY_S)])
        if halves and (self._halves_next or not free):
            at = self._go_on(halves[:1])
            self._halves_next = at is not None  # until a call was to be had for it
            return min([*at, *later]) if at else now
        if not free:
            return self._complete(records, later)
        return self._send(free, records, later, refused=paused_until is not None)

    def _go_on(self, records: Sequence[Record]) -> list[datetime] | None:
        """Go on with open batches; return when each is to be asked for, None if one was by now."""
        times = [self._batches.go_on(record) for record in records]
        later = [at for at in times if at is not None]
        return later if len(later) == len(times) else None

    def _pause(
        self, until: datetime, records: Sequence[Record], later: list[datetime]
    ) -> datetime | None:
        """Read nothing of what waits while it has to: there may be thousands of rows."""
        if self.world.uploads.oldest(self.distribution) is None:
            self._known = ()
            return self._complete(records, later)
        self._known = None
        return self._complete(records, [until, *later])

    def _settle_covered(self, rows: Sequence[Waiting]) -> bool:
        oldest_at = min(row.change.at for row in rows)
        made = self._batches.invalidations(oldest_at + timedelta(seconds=MARGIN_S))
        cleared = covered(rows, made)
        if cleared:
            self.world.log.event("uploads-covered", rows=len(cleared))
            self.world.uploads.settle(cleared)
        return bool(cleared)

    def _send(
        self,
        rows: Sequence[Waiting],
        records: Sequence[Record],
        later: list[datetime],
        *,
        refused: bool,
    ) -> datetime | None:
        now = self.world.clock.wall()
        if self._arrivals.go_on(rows, now):
            return now + timedelta(seconds=LOOK_AGAIN_S)
        left = room(record.in_progress for record in records)
        planned = self._plan.of(rows, left, refused=refused)
        if planned.contents is None:  # no room at all
            if any(record.state is BatchState.STORED for record in records):
                self._halves_next = True  # it is theirs
                return now
            return self._complete(records, later) or now + timedelta(seconds=LOOK_EVERY_S)
        now = self.world.clock.wall()
        if planned.left and self._is_to_look(records, now) and self._completion.look(records):
            return now  # there is more room: fewer calls, and perhaps fewer wildcards
        if (call_at := self.world.account.claim_call(now)) > now:
            return call_at
        self._batches.begin(planned.contents)
        self._halves_next = True
        return self.world.clock.wall()

    def _paused_until(self, records: Sequence[Record]) -> datetime | None:
        latest = islice(self.world.batches.history(self.distribution), ENOUGH_RECORDS)
        by_id = {record.batch_id: record for record in (*latest, *records)}
        return next_batch_at(by_id.values())

    def _complete(self, records: Sequence[Record], later: list[datetime]) -> datetime | None:
        """Look what has completed, if it is time; return when to look again, with what is later."""
        now = self.world.clock.wall()
        look_at = self._completion.next_look_at(records)
        if look_at is not None and look_at <= now:
            if self._completion.look(records):
                return now
            look_at = now + timedelta(seconds=LOOK_EVERY_S)
        elif look_at is not None:
            # a wake of its own: what completes is not worth a function that waits for it
            look_at = max(look_at, now + timedelta(seconds=NEAR_S + 1))
        return min([*later, *([look_at] if look_at else [])], default=None)

    def _is_to_look(self, records: Sequence[Record], now: datetime) -> bool:
        look_at = self._completion.next_look_at(records)
        return look_at is not None and look_at <= now

    def _wake(self, due_at: datetime) -> None:
        now = self.world.clock.wall()
        delay_s = math.ceil((due_at - now).total_seconds())
        self.world.wakes.wake(self.distribution, min(max(delay_s, 1), LONGEST_WAKE_S), now)

    def _has_time(self) -> bool:
        return self.world.clock.now_ns() // 1_000_000 < self.ends_at_ms - RESERVE_S * 1000


def measure_oldest(world: UploadWorld, distribution: str) -> Waiting | None:
    """Measure how long the oldest upload has waited; return its row. Raise TableError."""
    oldest = world.uploads.oldest(distribution)
    now = world.clock.wall()
    age_s = (now - oldest.change.at).total_seconds() if oldest else 0.0
    world.measures.oldest_waiting(distribution, max(age_s, 0.0))
    return oldest
