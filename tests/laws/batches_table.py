"""A batch is written whole by whoever has the lease, or not at all, in DynamoDB as in memory."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from functions.domain.batch import BatchState
from functions.domain.invalidation_record import Aside
from functions.ports import Leases
from functions.upload_ports import MOST_ANSWERED, Account, Batches
from tests.laws.upload_rows import EXPIRY, HERE, THERE, answered, batch, over
from tests.twins.clock import EPOCH

MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)


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

    def test_a_path_that_is_taken_after_all_is_forgiven(self, batches: Batches) -> None:
        """Of those set aside, and of this distribution; the rest is left as it is."""
        record, contents = batch("1", "a.png")
        batches.store(record, contents, "one")
        bad = [Aside(HERE, path, "InvalidArgument: no", EPOCH, ()) for path in ("/c", "/d*")]
        batches.change(record, replace(record, tries=1), owner="one", aside=bad)
        batches.forgive("E9", ["/c", "/d*"])
        batches.forgive(HERE, ["/a.png", "/d*"])
        batches.forgive(HERE, ["/a.png", "/d*"])
        assert list(batches.aside(HERE)) == bad[:1]

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
