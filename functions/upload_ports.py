"""What the way from an upload to an invalidation needs of the world.

The adapters are shaped like this, and so are the twins. Each method says what it raises; all else
is a bug. Every read of the table is consistent.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from functions.domain.batch import LookUp, Made, Missing, Refused, Unanswered
from functions.domain.invalidation_record import Aside, Contents, Record
from functions.domain.uploads import Change
from functions.domain.waiting import Waiting
from functions.ports import Clock, Leases, Log

MOST_WAITING: Final = 20_000
"""Rows that a turn looks at: the rest comes in its next round. They are its memory and its time,
and a batch of all of them can be settled well within it."""

MOST_ANSWERED: Final = 200
"""Invalidations that a turn reads to see whether one of them has cleared what it is late to."""


@dataclass(frozen=True, slots=True)
class News:
    """A change of a site's object, what was `seen` of that object before, and the rows it makes."""

    site: str
    change: Change
    seen: Change | None
    rows: tuple[Waiting, ...]


class Uploads(Protocol):
    """What was seen of each object, and what waits. All raise TableError."""

    def seen(self, site: str, keys: Sequence[str]) -> Mapping[str, Change]:
        """Return the last change seen of each key, without keys that were never seen."""

    def note(self, news: Sequence[News]) -> Sequence[News]:
        """Write each change and its rows, together or not at all; return those not written.

        Not written is what was decided on something other than what was seen by now: look again.
        """

    def ask(self, rows: Sequence[Waiting]) -> None:
        """Write rows that somebody asked for by hand."""

    def waiting(self, distribution: str) -> Sequence[Waiting]:
        """Return the MOST_WAITING oldest rows of a distribution, those of open batches as well."""

    def still_waiting(self, rows: Sequence[Waiting]) -> Collection[str]:
        """Return the ids of those rows that wait, however many others do."""

    def oldest(self, distribution: str) -> Waiting | None:
        """Return the oldest row, by one short read."""

    def settle(self, rows: Sequence[Waiting]) -> None:
        """Delete rows: they are cleared. Again is harmless."""


class Batches(Protocol):
    """The batches of a distribution: a record that changes, and contents that do not.

    A write is conditional. `owner`, where given, must have the distribution's lease at that very
    instant: whoever lost it writes nothing. All raise TableError.
    """

    def open(self, distribution: str) -> Sequence[Record]:
        """Return the records that are `open`, the oldest first."""

    def contents(self, record: Record) -> Contents:
        """Return a batch's contents."""

    def store(self, record: Record, contents: Contents, owner: str) -> bool:
        """Write a new batch whole; return False for who lost the lease."""

    def change(
        self,
        old: Record,
        new: Record,
        *,
        owner: str | None = None,
        stored: Sequence[tuple[Record, Contents]] = (),
        aside: Sequence[Aside] = (),
        used: Mapping[str, int] | None = None,
    ) -> bool:
        """Write `new` for `old`, and in the same write all the rest; False if it is not `old` now.

        `used` adds to the paths that each site has used in the month of `new.created_at`. The
        same write repeated is the same write.
        """

    def answered_since(self, distribution: str, since: datetime) -> Sequence[Record]:
        """Return the records whose `created_at` is not before `since`, open or not.

        The MOST_ANSWERED newest of them: for what is older than that a path may be paid again.
        """

    def history(self, distribution: str) -> Iterator[Record]:
        """Yield every record, the newest first, reading on as far as it is asked."""

    def aside(self, distribution: str) -> Sequence[Aside]:
        """Return the paths that were set aside."""

    def forgive(self, distribution: str, paths: Sequence[str]) -> None:
        """Forget of these paths those that were set aside: CloudFront has taken them."""


class Account(Protocol):
    """What all distributions of an account share. All raise TableError."""

    def claim_call(self, now: datetime) -> datetime:
        """Claim a call of CloudFront's API: it is ours if the instant returned is `now`.

        A later instant is when to ask again; then nothing was claimed.
        """

    def used(self, month: datetime) -> Mapping[str, int]:
        """Return the paths that each site has used in the month (UTC) of that instant."""


class CloudFront(Protocol):
    """CloudFront's API; each method makes the calls it says, claimed beforehand by the caller."""

    def create(
        self, distribution: str, reference: str, paths: Sequence[str]
    ) -> Made | Refused | Unanswered:
        """Make the one call of CreateInvalidation. Raises nothing."""

    def look_up(self, distribution: str, wanted: LookUp) -> Made | Missing:
        """Find an invalidation by its reference and paths.

        Raise NotFoundYetError where there are more to look at, and CloudFrontError.
        """

    def completed(self, distribution: str, invalidation_ids: Sequence[str]) -> frozenset[str]:
        """Return those that are completed, by listing.

        Raise NoSuchDistributionError or CloudFrontError.
        """


class Objects(Protocol):
    """The live objects of buckets."""

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with a prefix, in pages. Raise BucketError."""


class Wakes(Protocol):
    """What makes `invalidate` look at a distribution. All raise QueueError or TableError."""

    def wake(self, distribution: str, delay_s: int, now: datetime) -> None:
        """Let it look in so many seconds, unless a look no later than that is on its way."""


class UploadMeasures(Protocol):
    """The metrics. `site` or `distribution` is a dimension; seconds unless said otherwise."""

    def collected(self, changes: int, repeated: int, ignored: int) -> None:
        """Count what a batch of events came to."""

    def called(self, distribution: str, outcome: str, exact: int, wildcards: int) -> None:
        """Count a call of CreateInvalidation; `outcome`: made, unknown, or a Meaning."""

    def oldest_waiting(self, distribution: str, age_s: float) -> None:
        """Measure the oldest upload that waits; 0 where none does."""

    def live(self, site: str, requested_s: float, live_s: float) -> None:
        """Measure an upload: until its invalidation was made, and until it was completed."""

    def spent(self, site: str, usd: float, share_of_cap: float | None) -> None:
        """Measure the month's fee so far, and how much of the site's cap it is (1.0: all)."""

    def set_aside(self, distribution: str, paths: int) -> None:
        """Count paths that CloudFront refused for good."""


@dataclass(frozen=True, slots=True)
class UploadWorld:
    """All of it, for one distribution's turn."""

    clock: Clock
    log: Log
    uploads: Uploads
    batches: Batches
    account: Account
    leases: Leases
    cloudfront: CloudFront
    objects: Objects
    wakes: Wakes
    measures: UploadMeasures
