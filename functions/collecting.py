"""From what a bucket tells to the rows that wait: each change once, and nothing is lost."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from functions.domain.deliveries import Delivery
from functions.domain.errors import TableError
from functions.domain.site import Site, paths_of
from functions.domain.sites import Sites
from functions.domain.uploads import Change, Reading, UnreadableEventError, read, supersedes
from functions.domain.waiting import rows_of
from functions.ports import Clock, Log
from functions.upload_ports import News, UploadMeasures, Uploads, Wakes

WAKE_AFTER_S: Final = 1
"""The shortest delay that SQS knows; the rest of a folder comes meanwhile."""

MOST_LOOKS: Final = 8
"""How often a key is looked at again that others write to at the same instant."""


_NEXT_INSTANT: Final = timedelta(microseconds=1)


class CrowdedKeyError(TableError):
    """A key's row changed at each look: leave the messages to be delivered again."""


@dataclass(frozen=True, slots=True)
class Collector:
    """One batch of messages. A `Delivery`'s receipt is what names it when it has failed."""

    sites: Sites
    clock: Clock
    log: Log
    uploads: Uploads
    wakes: Wakes
    measures: UploadMeasures

    def collect(self, deliveries: Iterable[Delivery]) -> tuple[str, ...]:
        """Note every change and wake whoever is to clear it; return the unreadable receipts.

        Raise TableError or QueueError with the messages to be delivered again as a whole: what
        was noted is then a repetition, and the wakes are made up for.
        """
        failed: list[str] = []
        readings = [self._read(delivery, failed) for delivery in deliveries]
        changes = [change for reading in readings for change in reading.changes]
        ignored = sum(len(reading.ignored) for reading in readings)
        noted, repeated = 0, 0
        to_wake: dict[str, bool] = {}
        for bucket in dict.fromkeys(change.bucket for change in changes):
            theirs = [change for change in changes if change.bucket == bucket]
            sites = self.sites.of_bucket(bucket)
            if not sites:
                self.log.event("bucket-of-no-site", bucket=bucket, changes=len(theirs))
            shown = set()
            for site in sites:
                seen_here = [change for change in theirs if paths_of(site, change.key)]
                shown.update(seen_here)
                fresh = self._note(site, seen_here)
                noted, repeated = noted + fresh, repeated + len(seen_here) - fresh
                if seen_here:
                    for name in site.distributions:
                        to_wake[name] = to_wake.get(name, False) or fresh > 0
            ignored += sum(change not in shown for change in theirs)
        self._wake(to_wake)
        self.measures.collected(noted, repeated, ignored)
        return tuple(failed)

    def _read(self, delivery: Delivery, failed: list[str]) -> Reading:
        try:
            return read(delivery.body)
        except UnreadableEventError as error:
            failed.append(delivery.receipt)
            self.log.fault("event-unreadable", receipt=delivery.receipt, faults=error.faults)
            return error.readable

    def _note(self, site: Site, changes: Sequence[Change]) -> int:
        """Write the rows of what is new; return how many of the changes were."""
        left = _latest(changes)
        noted = 0
        for _ in range(MOST_LOOKS):
            if not left:
                return noted
            seen = self.uploads.seen(site.name, tuple(left))
            news = tuple(_news(site, left.values(), seen))
            late = self.uploads.note(news) if news else ()
            noted += len(news) - len(late)
            left = {one.change.key: left[one.change.key] for one in late}
        raise CrowdedKeyError(f"{site.name}: {', '.join(left)} changed at each look")

    def _wake(self, distributions: Mapping[str, bool]) -> None:
        """Wake each that has news; one without only if something waits all the same.

        A repetition may be of a message whose rows were written by someone who died before the
        wake. Otherwise it costs no more than this read.
        """
        for name, has_news in distributions.items():
            if has_news or self.uploads.oldest(name) is not None:
                self.wakes.wake(name, WAKE_AFTER_S, self.clock.wall())


def _latest(changes: Iterable[Change]) -> dict[str, Change]:
    """Return of each key the change that the others add nothing to."""
    latest: dict[str, Change] = {}
    for change in changes:
        old = latest.get(change.key)
        if old is None:
            latest[change.key] = change
        elif supersedes(change, old):
            latest[change.key] = _not_before(change, old)
    return latest


def _news(site: Site, changes: Iterable[Change], seen: Mapping[str, Change]) -> Iterator[News]:
    for change in changes:
        old = seen.get(change.key)
        if old is None:
            yield News(site.name, change, None, tuple(rows_of(site, change)))
        elif supersedes(change, old):
            later = _not_before(change, old)
            yield News(site.name, later, old, tuple(rows_of(site, later)))


def _not_before(change: Change, old: Change) -> Change:
    """Return the change with the later time of the two: their clocks may disagree.

    One without a sequencer has the next instant: its rows could be those of a change before, and
    whoever clears that deletes them.
    """
    if change.at > old.at:
        return change
    return replace(change, at=old.at if change.sequencer else old.at + _NEXT_INSTANT)
