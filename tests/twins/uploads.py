"""The table of the uploads in memory: conditional writes, and a hook at every step of a method."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from functions.domain.invalidation_limits import next_call_at
from functions.domain.invalidation_record import Aside, Contents, Record
from functions.domain.uploads import Change
from functions.domain.waiting import Waiting
from functions.upload_ports import MOST_ANSWERED, MOST_WAITING, News
from tests.twins.table import TwinLeases
from tests.twins.trace import Trace

LONGEST_DELAY_S = 900


def _go_on(_: str) -> None:
    """Do nothing at a step."""


@dataclass
class TwinTable:
    """All rows, and the ports on them.

    `steps` is called with a method's name before anything is done, after all is done, and between
    two writes that are not one: what it raises is a crash, or a fault of AWS, at that very place.
    """

    steps: Callable[[str], None] = _go_on
    seen: dict[tuple[str, str], Change] = field(default_factory=dict)
    waiting: dict[str, dict[str, Waiting]] = field(default_factory=lambda: defaultdict(dict))
    records: dict[tuple[str, str], Record] = field(default_factory=dict)
    contents: dict[tuple[str, str], Contents] = field(default_factory=dict)
    asides: dict[tuple[str, str], Aside] = field(default_factory=dict)
    calls: tuple[datetime, ...] = ()
    used: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    due: dict[str, datetime] = field(default_factory=dict)
    messages: list[tuple[datetime, str]] = field(default_factory=list)
    """Of the queue of wakes: when each is delivered, and of which distribution it tells."""

    def __post_init__(self) -> None:
        self.uploads = TwinUploads(self)
        self.batches = TwinBatches(self)
        self.account = TwinAccount(self)
        self.wakes = TwinWakes(self)
        self.leases = SteppedLeases(self)

    def delivered(self, now: datetime) -> list[str]:
        """Return the distributions of which messages are due, and forget those messages."""
        come = [name for at, name in sorted(self.messages) if at <= now]
        self.messages = [message for message in self.messages if message[0] > now]
        return come

    @property
    def open(self) -> list[Record]:
        """All open records, of every distribution."""
        return [record for _, record in sorted(self.records.items()) if record.open]


class SteppedLeases(TwinLeases):
    """The leases of distributions, with the hook."""

    def __init__(self, table: TwinTable) -> None:
        super().__init__(Trace())
        self._table = table

    def take(self, target: str, owner: str, now: datetime, expires_at: datetime) -> bool:
        """As in the port."""
        self._table.steps("take")
        answer = super().take(target, owner, now, expires_at)
        self._table.steps("take")
        return answer

    def renew(self, target: str, owner: str, expires_at: datetime) -> bool:
        """As in the port."""
        self._table.steps("renew")
        answer = super().renew(target, owner, expires_at)
        self._table.steps("renew")
        return answer

    def release(self, target: str, owner: str) -> bool:
        """As in the port."""
        self._table.steps("release")
        answer = super().release(target, owner)
        self._table.steps("release")
        return answer

    def alive(self, target: str, owner: str, now: datetime) -> bool:
        """As in the port."""
        self._table.steps("alive")
        answer = super().alive(target, owner, now)
        self._table.steps("alive")
        return answer

    def owned(self, target: str, owner: str | None) -> bool:
        """Return whether `owner` has the lease, expired or not; whoever is None needs none."""
        return owner is None or self.rows.get(target, ("",))[0] == owner


@dataclass(frozen=True, slots=True)
class TwinUploads:
    """What was seen of each object, and what waits."""

    table: TwinTable

    def seen(self, site: str, keys: Sequence[str]) -> Mapping[str, Change]:
        """As in the port."""
        self.table.steps("seen")
        known = {key: self.table.seen[site, key] for key in keys if (site, key) in self.table.seen}
        self.table.steps("seen")
        return known

    def note(self, news: Sequence[News]) -> Sequence[News]:
        """As in the port."""
        late = []
        for one in news:
            self.table.steps("note")
            if not self._noted(one):
                late.append(one)
        self.table.steps("note")
        return late

    def _noted(self, one: News) -> bool:
        name = (one.site, one.change.key)
        if self.table.seen.get(name) not in (one.seen, one.change):
            return False
        self.table.seen[name] = one.change
        self._put(one.rows)
        return True

    def ask(self, rows: Sequence[Waiting]) -> None:
        """As in the port."""
        self.table.steps("ask")
        self._put(rows)
        self.table.steps("ask")

    def _put(self, rows: Sequence[Waiting]) -> None:
        for row in rows:
            self.table.waiting[row.distribution][row.row_id] = row

    def waiting(self, distribution: str) -> Sequence[Waiting]:
        """As in the port."""
        self.table.steps("waiting")
        rows = [row for _, row in sorted(self.table.waiting[distribution].items())]
        self.table.steps("waiting")
        return rows[:MOST_WAITING]

    def still_waiting(self, rows: Sequence[Waiting]) -> Collection[str]:
        """As in the port."""
        self.table.steps("still_waiting")
        found = {row.row_id for row in rows if row.row_id in self.table.waiting[row.distribution]}
        self.table.steps("still_waiting")
        return found

    def oldest(self, distribution: str) -> Waiting | None:
        """As in the port."""
        self.table.steps("oldest")
        rows = self.table.waiting[distribution]
        oldest = rows[min(rows)] if rows else None
        self.table.steps("oldest")
        return oldest

    def settle(self, rows: Sequence[Waiting]) -> None:
        """As in the port: row by row, so that a crash may leave some."""
        for row in rows:
            self.table.steps("settle")
            self.table.waiting[row.distribution].pop(row.row_id, None)
        self.table.steps("settle")


@dataclass(frozen=True, slots=True)
class TwinBatches:
    """Records and contents."""

    table: TwinTable

    def open(self, distribution: str) -> Sequence[Record]:
        """As in the port."""
        self.table.steps("open")
        records = [record for record in self._of(distribution) if record.open]
        self.table.steps("open")
        return records

    def contents(self, record: Record) -> Contents:
        """As in the port."""
        self.table.steps("contents")
        contents = self.table.contents[_key(record)]
        self.table.steps("contents")
        return contents

    def store(self, record: Record, contents: Contents, owner: str) -> bool:
        """As in the port."""
        self.table.steps("store")
        written = self._stored(record, contents, owner)
        self.table.steps("store")
        return written

    def _stored(self, record: Record, contents: Contents, owner: str) -> bool:
        if not self.table.leases.owned(record.distribution, owner):
            return False
        if not self._is_free(record, contents):
            return False
        self._put(record, contents)
        return True

    def _is_free(self, record: Record, contents: Contents) -> bool:
        """Return whether nobody has another batch of that name."""
        known = self.table.records.get(_key(record), record)
        return known == record and self.table.contents.get(_key(record), contents) == contents

    def _put(self, record: Record, contents: Contents) -> None:
        self.table.records[_key(record)] = record
        self.table.contents[_key(record)] = contents

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
        """As in the port."""
        self.table.steps("change")
        written = self.table.leases.owned(new.distribution, owner)
        if written and self.table.records.get(_key(new)) != new:  # else it is written already
            written = self._changed(old, new, stored)
            if written:
                self.table.asides |= {(one.distribution, one.path): one for one in aside}
                self._use(new, used or {})
        self.table.steps("change")
        return written

    def _changed(self, old: Record, new: Record, stored: Sequence[tuple[Record, Contents]]) -> bool:
        if self.table.records.get(_key(old)) != old:
            return False
        if not all(self._is_free(*half) for half in stored):
            return False
        self.table.records[_key(new)] = new
        for half in stored:
            self._put(*half)
        return True

    def _use(self, new: Record, used: Mapping[str, int]) -> None:
        if used:
            assert new.created_at, "paths are used by what CloudFront has made"
            self.table.used[f"{new.created_at:%Y-%m}"].update(used)

    def answered_since(self, distribution: str, since: datetime) -> Sequence[Record]:
        """As in the port."""
        self.table.steps("answered_since")
        records = [
            record
            for record in self._of(distribution)
            if record.created_at is not None and record.created_at >= since
        ]
        self.table.steps("answered_since")
        newest = sorted(records, key=lambda one: str(one.created_at))[-MOST_ANSWERED:]
        return sorted(newest, key=lambda one: one.batch_id)

    def history(self, distribution: str) -> Iterator[Record]:
        """As in the port."""
        self.table.steps("history")
        yield from reversed(self._of(distribution))
        self.table.steps("history")

    def aside(self, distribution: str) -> Sequence[Aside]:
        """As in the port."""
        self.table.steps("aside")
        asides = [one for name, one in self.table.asides.items() if name[0] == distribution]
        self.table.steps("aside")
        return asides

    def forgive(self, distribution: str, paths: Sequence[str]) -> None:
        """As in the port."""
        self.table.steps("forgive")
        for path in paths:
            self.table.asides.pop((distribution, path), None)
        self.table.steps("forgive")

    def _of(self, distribution: str) -> list[Record]:
        named = sorted(self.table.records.items())
        return [record for name, record in named if name[0] == distribution]


@dataclass(frozen=True, slots=True)
class TwinAccount:
    """The account's calls, and the paths it has used."""

    table: TwinTable

    def claim_call(self, now: datetime) -> datetime:
        """As in the port."""
        self.table.steps("claim_call")
        at = next_call_at(self.table.calls, now)
        if at <= now:
            self.table.calls = (*self.table.calls, now)
        self.table.steps("claim_call")
        return at

    def used(self, month: datetime) -> Mapping[str, int]:
        """As in the port."""
        self.table.steps("used")
        used = dict(self.table.used[f"{month:%Y-%m}"])
        self.table.steps("used")
        return used


@dataclass(frozen=True, slots=True)
class TwinWakes:
    """The wakes on their way."""

    table: TwinTable

    def wake(self, distribution: str, delay_s: int, now: datetime) -> None:
        """As in the port; between the row and its message there is a step too."""
        self.table.steps("wake")
        at = now + timedelta(seconds=min(delay_s, LONGEST_DELAY_S))
        known = self.table.due.get(distribution)
        if known is None or not now < known <= at:
            self.table.due[distribution] = at
            self.table.steps("wake")
            self.table.messages.append((at, distribution))
        self.table.steps("wake")


def _key(record: Record) -> tuple[str, str]:
    return record.distribution, record.batch_id
