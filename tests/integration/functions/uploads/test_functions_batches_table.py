"""The laws of the batches, kept on the emulator's DynamoDB."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.adapters.account_table import AccountTable
from functions.adapters.batches_table import BatchesTable
from functions.adapters.leases_table import LeasesTable
from functions.domain.batch import BatchState
from functions.domain.errors import TableError
from tests.integration.functions.uploads.lost_writes import LostAnswers, Overtaken
from tests.laws.batches_table import BatchLaws
from tests.laws.upload_rows import HERE, answered, batch, over
from tests.twins.clock import EPOCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.region import Region

pytestmark = pytest.mark.emulator


class TestBatchesTable(BatchLaws):
    """Batches in DynamoDB."""

    @pytest.fixture
    def batches(self, region: Region, table: str) -> BatchesTable:
        """Return the port on an empty table."""
        return BatchesTable(region.client("dynamodb"), table)

    def test_what_is_over_is_kept_for_400_days(
        self, batches: BatchesTable, items: Callable[[str], dict[str, Any]]
    ) -> None:
        """A record that is open is never deleted, whatever its age."""
        record, contents = batch("1")
        batches.store(record, contents, "one")
        (row,) = items("BATCH#OPEN#").values()
        assert "delete_after_s" not in row
        batches.change(record, over(answered(record)))
        assert items("BATCH#OPEN#") == {}
        for beginning in ("BATCH#DONE#1", "PART#1#", "ANSWERED#2026-11-25T18:00:00.000000Z#1"):
            (row,) = items(beginning).values()
            assert int(row["delete_after_s"]["N"]) == EPOCH.timestamp() + 400 * 86_400

    def test_contents_take_several_rows(
        self, batches: BatchesTable, items: Callable[[str], dict[str, Any]]
    ) -> None:
        """DynamoDB takes 400 KB a row; each is read again in its place."""
        self.test_a_batch_of_thousands_of_paths_is_stored_whole(batches)
        sizes = [len(row["piece"]["B"]) for row in items("PART#").values()]
        assert len(sizes) > 1
        assert max(sizes) < 400_000

    def test_contents_that_are_not_whole_are_no_contents(
        self, batches: BatchesTable, region: Region, items: Callable[[str], dict[str, Any]]
    ) -> None:
        """Half of the paths would be other paths under the same reference."""
        record, contents = batch("1")
        batches.store(record, contents, "one")
        ((name, row),) = items("PART#").items()
        key = {"pk": row["pk"], "sk": {"S": name}}
        region.client("dynamodb").delete_item(TableName="holdstill", Key=key)
        with pytest.raises(TableError, match="0 of 1 pieces"):
            batches.contents(record)
        with pytest.raises(TableError, match="no such batch"):
            batches.contents(replace(record, batch_id="2"))

    def test_a_turn_that_died_in_between_leaves_no_batch(
        self, batches: BatchesTable, leases: LeasesTable
    ) -> None:
        """Contents without a record mean nothing, also to who takes the name next."""
        self.overtake(leases)
        assert not batches.store(*batch("1", "z.png"), "one")
        record, contents = batch("1", "a.png")
        assert batches.store(record, contents, "two")
        assert batches.contents(record) == contents

    def test_a_lost_answer_changes_nothing(
        self, region: Region, table: str, account: AccountTable
    ) -> None:
        """The second write is the first one's, and adds nothing."""
        batches = BatchesTable(LostAnswers(region.client("dynamodb")), table)  # type: ignore[arg-type]
        record, contents = batch("1")
        assert batches.store(record, contents, "one")
        unknown = replace(record, state=BatchState.UNKNOWN)
        assert batches.change(record, unknown, owner="one", stored=[batch("1.1")])
        assert batches.change(unknown, over(answered(record)), owner="one", used={"static": 2})
        assert account.used(EPOCH) == {"static": 2}
        assert [one.batch_id for one in batches.history(HERE)] == ["1.1", "1"]

    def test_who_is_overtaken_writes_nothing(self, batches: BatchesTable) -> None:
        """What was read is what is changed, also when all was well a moment ago."""
        record, contents = batch("1")
        batches.store(record, contents, "one")
        refused = replace(record, state=BatchState.REFUSED)
        client: Any = Overtaken(batches.client, lambda: batches.change(record, refused))
        slower = BatchesTable(client, batches.name)
        assert not slower.change(
            record, answered(record), owner="one", stored=[batch("1.1")], used={"static": 1}
        )
        assert list(batches.history(HERE)) == [refused]
        assert AccountTable(batches.client, batches.name).used(EPOCH) == {}

    def test_who_loses_the_lease_meanwhile_writes_nothing(
        self, batches: BatchesTable, leases: LeasesTable
    ) -> None:
        """It is at the instant of the write that the lease must be there."""
        client: Any = Overtaken(batches.client, lambda: self.overtake(leases))
        assert not BatchesTable(client, batches.name).store(*batch("1"), "one")
        assert list(batches.open(HERE)) == []

    def test_of_many_that_change_a_batch_at_once_one_does(self, batches: BatchesTable) -> None:
        """Whatever of it comes first; the month's use is of that one alone."""
        record, contents = batch("1")
        batches.store(record, contents, "one")

        def attempt(number: int) -> bool:
            new = replace(answered(record), tries=number)
            return batches.change(record, new, owner="one", used={"static": 1})

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(attempt, range(8))) == 1
        assert AccountTable(batches.client, batches.name).used(EPOCH) == {"static": 1}

    def test_paths_used_at_once_are_all_counted(
        self, batches: BatchesTable, account: AccountTable
    ) -> None:
        """Two distributions may answer at the same instant: their sums meet in one row."""
        records = [batch(f"{number}") for number in range(12)]
        for record, contents in records:
            batches.store(record, contents, "one")

        def attempt(record: Any) -> bool:
            return batches.change(record, answered(record), used={"static": 1})

        with ThreadPoolExecutor(6) as threads:
            assert all(threads.map(attempt, [record for record, _ in records]))
        assert account.used(EPOCH) == {"static": 12}
