"""What the rows of the uploads must keep to, be they DynamoDB's or in memory."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from functions.domain.batch import Batch, BatchState
from functions.domain.invalidation_limits import CALL_EVERY_S, CALLS_AT_ONCE, CALLS_KNOWN_S
from functions.domain.invalidation_record import Aside, Contents, Record
from functions.domain.paths import Path
from functions.domain.uploads import Change, Kind
from functions.domain.waiting import Waiting
from functions.ports import Leases
from functions.upload_ports import MOST_ANSWERED, Account, Batches, News, Uploads, Wakes
from tests.twins.clock import EPOCH

HERE, THERE = "E1EXAMPLE", "E2EXAMPLE"
MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)
EXPIRY = EPOCH + timedelta(minutes=15)


def change(key: str = "a.png", *, after_s: float = 0, sequencer: str | None = "0055") -> Change:
    """Return a change of an object, so many seconds after the epoch."""
    at = EPOCH + timedelta(seconds=after_s)
    return Change("example-static", key, Kind.CREATED, sequencer, at)


def waiting(of: Change | None = None, *, distribution: str = HERE, path: str = "") -> Waiting:
    """Return a row of a change."""
    of = of or change()
    return Waiting(distribution, "static", Path(path) if path else Path.of_key(of.key), of)


def news(of: Change, seen: Change | None = None, rows: Sequence[Waiting] | None = None) -> News:
    """Return what a change makes known, with its one row."""
    return News("static", of, seen, (waiting(of),) if rows is None else tuple(rows))


def batch(
    name: str = "20261125T180000.1", *keys: str, distribution: str = HERE
) -> tuple[Record, Contents]:
    """Return a batch of the changes of so many keys, as it is first stored."""
    rows = tuple(waiting(change(key), distribution=distribution) for key in keys or ("a.png",))
    contents = Contents(tuple(row.path.text for row in rows), rows, {"/b/*": "cheaper"})
    made = Batch(distribution, name, contents.paths, BatchState.ASKED)
    return replace(Record.of(made, EPOCH), asked_at=EPOCH), contents


def answered(record: Record, *, created_at: datetime = EPOCH) -> Record:
    """Return the record once CloudFront has answered."""
    return replace(
        record,
        state=BatchState.ANSWERED,
        invalidation_id=f"I{record.batch_id}",
        created_at=created_at,
    )


def over(record: Record) -> Record:
    """Return an answered record once nothing is left to do."""
    return replace(record, settled=True, completed_at=EPOCH + timedelta(seconds=20))


class UploadLaws:
    """Subclasses have a fixture `uploads`: an empty table."""

    def test_a_change_and_its_rows_are_written_together(self, uploads: Uploads) -> None:
        """Whoever sees the change may count on it that its rows wait."""
        assert uploads.seen("static", ["a.png"]) == {}
        one, other = waiting(), waiting(distribution=THERE)
        assert list(uploads.note([news(change(), rows=[one, other])])) == []
        assert uploads.seen("static", ["a.png", "b.png"]) == {"a.png": change()}
        assert list(uploads.waiting(HERE)) == [one]
        assert list(uploads.waiting(THERE)) == [other]

    def test_what_was_decided_on_old_news_is_not_written(self, uploads: Uploads) -> None:
        """Neither the change nor its rows; and what was decided rightly beside it is."""
        first, second = change(sequencer="01"), change(sequencer="02", after_s=1)
        uploads.note([news(first)])
        unaware, wrong = news(second), news(second, seen=change(sequencer="00"))
        other = news(change("b.png"))
        assert list(uploads.note([unaware, other, wrong])) == [unaware, wrong]
        assert uploads.seen("static", ["a.png", "b.png"]) == {
            "a.png": first,
            "b.png": change("b.png"),
        }
        assert {row.change.key for row in uploads.waiting(HERE)} == {"a.png", "b.png"}
        assert list(uploads.note([news(second, seen=first)])) == []
        assert uploads.seen("static", ["a.png"]) == {"a.png": second}

    def test_the_same_news_again_is_the_same_write(self, uploads: Uploads) -> None:
        """When AWS's answer is lost it is repeated, and must not take itself for another."""
        assert list(uploads.note([news(change())])) == []
        assert list(uploads.note([news(change())])) == []
        later = change(sequencer=None, after_s=1)
        assert list(uploads.note([news(later, seen=change())])) == []
        assert list(uploads.note([news(later, seen=change())])) == []
        assert len(uploads.waiting(HERE)) == 2

    def test_each_site_and_each_key_is_seen_apart(self, uploads: Uploads) -> None:
        """Two sites may show one bucket; names of 1,024 bytes in any script are names."""
        names = ["a.png", "A.png", "a.png/", "資料/" + "最終" * 160, "a\0b", "e\u0301", "\u00e9"]
        uploads.note([news(change(name)) for name in names])
        assert uploads.seen("static", names) == {name: change(name) for name in names}
        assert uploads.seen("other", names) == {}

    def test_many_keys_are_seen_at_once(self, uploads: Uploads) -> None:
        """A key named twice is no fault, and neither are more than a call can hold."""
        names = [f"{number}.png" for number in range(120)]
        uploads.note([news(change(name), rows=()) for name in names])
        assert len(uploads.seen("static", [*names, *names])) == 120

    def test_what_waits_is_in_the_order_of_its_changes(self, uploads: Uploads) -> None:
        """The oldest is read alone; times differ by microseconds, and need not be whole ones."""
        late, early = change("b", after_s=1.000001), change("c", after_s=1)
        first = change("a", after_s=0.999999)
        uploads.ask([waiting(late), waiting(first), waiting(early)])
        assert [row.change.key for row in uploads.waiting(HERE)] == ["a", "c", "b"]
        assert uploads.oldest(HERE) == waiting(first)
        assert uploads.oldest(THERE) is None

    def test_rows_are_asked_for_and_settled_by_the_hundred(self, uploads: Uploads) -> None:
        """Each is one row however often it is written, and settling again is harmless."""
        every = [waiting(change(f"{number}.png", after_s=number)) for number in range(60)]
        uploads.ask([*every, *every])
        assert list(uploads.waiting(HERE)) == every
        uploads.settle([*every[1:], *every[1:]])
        uploads.settle(every[1:])
        assert list(uploads.waiting(HERE)) == every[:1]

    def test_a_row_says_who_asked_and_why_it_is_a_wildcard(self, uploads: Uploads) -> None:
        """All of it comes back, to be shown in the history."""
        asked = Change("example-static", "docs/", Kind.ASKED, None, EPOCH)
        row = Waiting(HERE, "static", Path("/docs/*", "by hand"), asked, asked_by="arn:me")
        uploads.ask([row])
        (back,) = uploads.waiting(HERE)
        assert back == row
        assert back.path.reason == "by hand"

    def test_a_row_that_is_named_twice_is_one_row(self, uploads: Uploads) -> None:
        """A site may name a distribution twice: no fault for which an upload should wait."""
        assert list(uploads.note([news(change(), rows=[waiting(), waiting()])])) == []
        assert list(uploads.waiting(HERE)) == [waiting()]

    def test_a_change_of_very_many_rows_is_written_whole(self, uploads: Uploads) -> None:
        """Rules and distributions multiply."""
        every = [waiting(path=f"/{number:03}") for number in range(130)]
        assert list(uploads.note([news(change(), rows=every)])) == []
        assert {row.path.text for row in uploads.waiting(HERE)} == {row.path.text for row in every}


class BatchLaws:
    """Subclasses have fixtures `batches` and `leases` of one empty table, and `account`."""

    @pytest.fixture(autouse=True)
    def leased(self, leases: Leases) -> None:
        """Let `one` have the lease of each distribution."""
        for distribution in (HERE, THERE):
            assert leases.take(distribution, "one", EPOCH, EXPIRY)

    @staticmethod
    def overtake(leases: Leases) -> None:
        """Let `two` have it."""
        after = EXPIRY + timedelta(seconds=1)
        assert leases.take(HERE, "two", after, after + timedelta(minutes=15))

    def test_a_batch_is_stored_whole(self, batches: Batches) -> None:
        """What is read is what was written, here and nowhere else."""
        record, contents = batch("1", "a.png", "資料 (1).psd")
        assert batches.store(record, contents, "one")
        assert list(batches.open(HERE)) == [record]
        assert list(batches.open(THERE)) == []
        back = batches.contents(record)
        assert back == contents
        assert back.reasons == {"/b/*": "cheaper"}

    def test_a_batch_of_thousands_of_paths_is_stored_whole(self, batches: Batches) -> None:
        """More than a row holds, even compressed."""
        names = [hashlib.sha512(bytes([n % 256, n // 256])).hexdigest() * 2 for n in range(3_000)]
        record, contents = batch("1", *names)
        assert batches.store(record, contents, "one")
        assert batches.contents(record) == contents

    def test_whoever_lost_the_lease_stores_nothing(self, batches: Batches, leases: Leases) -> None:
        """There is one batch at a time, although a turn may be slower than its lease."""
        self.overtake(leases)
        assert not batches.store(*batch("1"), "one")
        assert list(batches.open(HERE)) == []
        assert list(batches.history(HERE)) == []
        leases.release(HERE, "two")
        assert not batches.store(*batch("1"), "one")
        assert batches.store(*batch("1", distribution=THERE), "one")

    def test_whoever_lost_the_lease_changes_nothing(self, batches: Batches, leases: Leases) -> None:
        """Nor does what it had written before count as its own."""
        record, contents = batch("1")
        batches.store(record, contents, "one")
        self.overtake(leases)
        new = answered(record)
        assert not batches.change(record, new, owner="one", stored=[batch("1.1")])
        assert list(batches.open(HERE)) == [record]
        assert batches.change(record, new, owner="two")
        assert not batches.change(record, new, owner="one")
        assert batches.change(record, new)

    def test_another_batch_does_not_take_a_name(self, batches: Batches) -> None:
        """Its contents stay what they were, as long as the record is kept."""
        record, contents = batch("1")
        assert batches.store(record, contents, "one")
        assert not batches.store(*batch("1", "b.png"), "one")
        assert batches.contents(record) == contents
        assert batches.change(record, over(answered(record)))
        assert not batches.store(record, contents, "one")
        assert list(batches.open(HERE)) == []

    def test_storing_again_is_the_same_write(self, batches: Batches) -> None:
        """When AWS's answer is lost it is repeated, and must not take itself for another."""
        assert batches.store(*batch("1"), "one")
        assert batches.store(*batch("1"), "one")
        assert len(batches.open(HERE)) == 1

    def test_a_change_is_of_what_is_there_now(self, batches: Batches) -> None:
        """Of two that read the same one writes."""
        record, contents = batch("1")
        batches.store(record, contents, "one")
        unknown = replace(record, state=BatchState.UNKNOWN, tries=1, why="no answer")
        assert batches.change(record, unknown, owner="one")
        assert not batches.change(record, answered(record), owner="one")
        assert list(batches.open(HERE)) == [unknown]
        assert not batches.change(*(batch("2")[0],) * 2)
        assert batches.contents(unknown) == contents

    def test_all_of_a_change_is_written_or_none_of_it(
        self, batches: Batches, account: Account
    ) -> None:
        """Halves, paths set aside and the paths used come with the record."""
        record, contents = batch("1", "a.png", "b.png")
        batches.store(record, contents, "one")
        stale = replace(record, tries=7)
        halves = [batch("1.1", "a.png"), batch("1.2", "b.png")]
        bad = Aside(HERE, "/c.png", "InvalidArgument: no", EPOCH, ("c.png",))
        new = answered(record)
        more = {"stored": halves, "aside": [bad], "used": {"static": 2, "docs": 1}}
        assert not batches.change(stale, new, owner="one", **more)  # type: ignore[arg-type]
        assert list(batches.open(HERE)) == [record]
        assert (list(batches.aside(HERE)), account.used(EPOCH)) == ([], {})
        assert batches.change(record, new, owner="one", **more)  # type: ignore[arg-type]
        assert list(batches.open(HERE)) == [new, halves[0][0], halves[1][0]]
        assert batches.contents(halves[1][0]) == halves[1][1]
        assert list(batches.aside(HERE)) == [bad]
        assert account.used(EPOCH) == {"static": 2, "docs": 1}

    def test_a_half_whose_name_is_taken_holds_up_the_change(self, batches: Batches) -> None:
        """Nothing is written over, and nothing is lost of what was to be."""
        record, contents = batch("1", "a.png", "b.png")
        batches.store(record, contents, "one")
        batches.store(*batch("1.1", "z.png"), "one")
        refused = replace(record, state=BatchState.REFUSED)
        assert not batches.change(record, refused, stored=[batch("1.1", "a.png")])
        assert [one.batch_id for one in batches.open(HERE)] == ["1", "1.1"]

    def test_changing_again_is_the_same_write(self, batches: Batches, account: Account) -> None:
        """Nothing is added twice: the bill is not what was paid, but it steers the prices."""
        record, contents = batch("1")
        batches.store(record, contents, "one")
        new = answered(record)
        for _ in range(2):
            assert batches.change(record, new, owner="one", used={"static": 2})
        assert account.used(EPOCH) == {"static": 2}
        for _ in range(2):
            assert batches.change(new, over(new), owner="one", used={"static": 2})
        assert account.used(EPOCH) == {"static": 4}

    def test_paths_are_used_in_the_month_of_cloudfronts_answer(
        self, batches: Batches, account: Account
    ) -> None:
        """By its CreateTime, in UTC: that is when the bill counts them."""
        for name, created_at in (("1", MIDNIGHT - timedelta(seconds=1)), ("2", MIDNIGHT)):
            record, contents = batch(name)
            batches.store(record, contents, "one")
            new = answered(record, created_at=created_at)
            assert batches.change(record, new, used={"static": int(name)})
        assert account.used(EPOCH) == {"static": 1}
        assert account.used(MIDNIGHT) == {"static": 2}
        assert account.used(MIDNIGHT + timedelta(days=31)) == {}

    def test_what_is_over_is_not_open(self, batches: Batches) -> None:
        """Settled and completed, or refused; its contents stay to be looked at."""
        for name in ("1", "2", "3"):
            record, contents = batch(name, f"{name}.png")
            batches.store(record, contents, "one")
        first, second, _ = batches.open(HERE)
        assert batches.change(first, over(answered(first)))
        assert batches.change(second, replace(second, state=BatchState.REFUSED))
        assert [one.batch_id for one in batches.open(HERE)] == ["3"]
        assert batches.contents(first).paths == ("/1.png",)
        assert [one.batch_id for one in batches.history(HERE)] == ["3", "2", "1"]

    def test_what_was_made_since_is_found_by_cloudfronts_clock(self, batches: Batches) -> None:
        """Open or over, in whatever order they were stored; and never what has no answer."""
        for name in ("1", "2", "3", "4"):
            batches.store(*batch(name), "one")
        first, second, third, _ = batches.open(HERE)
        later = answered(first, created_at=EPOCH + timedelta(minutes=2))
        assert batches.change(first, later)
        assert batches.change(later, over(later))
        early = answered(second, created_at=EPOCH + timedelta(minutes=1, milliseconds=1))
        assert batches.change(second, early)
        assert batches.change(third, answered(third))
        since = EPOCH + timedelta(minutes=1)
        assert list(batches.answered_since(HERE, since)) == [over(later), early]
        assert early in batches.answered_since(HERE, since + timedelta(milliseconds=1))
        assert early not in batches.answered_since(HERE, since + timedelta(milliseconds=2))
        assert list(batches.answered_since(THERE, EPOCH)) == []

    def test_of_all_that_was_made_since_the_newest_are_read(self, batches: Batches) -> None:
        """An event that is days late must not make a turn read all that was done since."""
        for number in range(MOST_ANSWERED + 3):
            record, contents = batch(f"{number:03}")
            batches.store(record, contents, "one")
            batches.change(record, answered(record, created_at=EPOCH + timedelta(seconds=number)))
        found = batches.answered_since(HERE, EPOCH)
        assert len(found) == MOST_ANSWERED
        assert "000" not in {one.batch_id for one in found}

    def test_history_is_read_as_far_as_it_is_asked(self, batches: Batches) -> None:
        """The newest first, open and over mixed, each once."""
        for number in range(60):
            record, contents = batch(f"{number:03}")
            batches.store(record, contents, "one")
            if number % 3:
                batches.change(record, replace(record, state=BatchState.REFUSED))
        names = [record.batch_id for record in batches.history(HERE)]
        assert names == [f"{number:03}" for number in reversed(range(60))]
        assert [one.batch_id for one in islice(batches.history(HERE), 2)] == ["059", "058"]
        assert list(batches.history(THERE)) == []


class AccountLaws:
    """Subclasses have a fixture `account`: an empty table's."""

    def test_calls_are_claimed_within_the_accounts_rate(self, account: Account) -> None:
        """Whoever asks, and however often."""
        claimed, now = [], EPOCH
        while now < EPOCH + timedelta(seconds=60):
            at = account.claim_call(now)
            if at == now:
                claimed.append(now)
            else:
                assert at > now
            now += timedelta(seconds=0.5)
        assert CALLS_AT_ONCE <= len(claimed) <= 60 / CALL_EVERY_S + CALLS_AT_ONCE
        for first, later in zip(claimed, claimed[CALLS_AT_ONCE:], strict=False):
            assert (later - first).total_seconds() >= CALL_EVERY_S

    def test_a_claim_that_must_wait_claims_nothing(self, account: Account) -> None:
        """Asking costs nothing, and the instant that was told is good."""
        while account.claim_call(EPOCH) == EPOCH:
            pass
        at = account.claim_call(EPOCH)
        assert account.claim_call(EPOCH) == at > EPOCH
        assert account.claim_call(at) == at

    def test_a_long_rest_fills_the_budget(self, account: Account) -> None:
        """Old calls are of no account."""
        while account.claim_call(EPOCH) == EPOCH:
            pass
        rested = EPOCH + timedelta(seconds=2 * CALLS_KNOWN_S)
        assert [account.claim_call(rested) == rested for _ in range(CALLS_AT_ONCE)] == [
            True
        ] * CALLS_AT_ONCE
        assert account.claim_call(rested) > rested

    def test_nothing_was_used_at_first(self, account: Account) -> None:
        """Not a fault, but a month in which nothing was paid yet."""
        assert account.used(EPOCH) == {}


class WakeLaws:
    """Subclasses have fixtures `wakes`, and `sent`: how many messages each distribution has."""

    def test_one_wake_is_enough(self, wakes: Wakes, sent: Callable[[str], int]) -> None:
        """A folder of 500 files wakes once; another distribution is woken for itself."""
        for ms in range(0, 900, 100):
            wakes.wake(HERE, 1, EPOCH + timedelta(milliseconds=ms))
        assert sent(HERE) == 1
        wakes.wake(THERE, 1, EPOCH)
        assert (sent(HERE), sent(THERE)) == (1, 1)

    def test_a_wake_that_has_come_does_not_spare_the_next(
        self, wakes: Wakes, sent: Callable[[str], int]
    ) -> None:
        """It has looked already, before these rows were written."""
        wakes.wake(HERE, 1, EPOCH)
        wakes.wake(HERE, 1, EPOCH + timedelta(seconds=1))
        wakes.wake(HERE, 1, EPOCH + timedelta(seconds=2.5))
        assert sent(HERE) == 3

    def test_a_late_wake_does_not_hold_up_an_upload(
        self, wakes: Wakes, sent: Callable[[str], int]
    ) -> None:
        """A pause of minutes is no reason for the next designer to wait as long."""
        wakes.wake(HERE, 600, EPOCH)
        wakes.wake(HERE, 1, EPOCH + timedelta(seconds=1))
        assert sent(HERE) == 2
        wakes.wake(HERE, 700, EPOCH + timedelta(seconds=1))
        assert sent(HERE) == 2

    def test_a_delay_longer_than_sqs_has_is_cut(
        self, wakes: Wakes, sent: Callable[[str], int]
    ) -> None:
        """It comes early, and whoever looks then can wake again."""
        wakes.wake(HERE, 100_000, EPOCH)
        assert sent(HERE) == 1
        wakes.wake(HERE, 900, EPOCH + timedelta(seconds=899))
        assert sent(HERE) == 1
        wakes.wake(HERE, 900, EPOCH + timedelta(seconds=900))
        assert sent(HERE) == 2
