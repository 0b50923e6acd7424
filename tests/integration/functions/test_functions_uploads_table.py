"""The laws of the uploads' rows, kept by the adapters on the emulator's DynamoDB and SQS."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from functions.adapters.account_table import AccountTable
from functions.adapters.batches_table import BatchesTable
from functions.adapters.leases_table import LeasesTable
from functions.adapters.uploads_table import UploadsTable
from functions.adapters.wakes import SqsWakes
from functions.domain.batch import BatchState
from functions.domain.errors import QueueError, TableError
from functions.domain.invalidation_limits import CALLS_AT_ONCE
from tests.laws.account_table import AccountLaws
from tests.laws.batches_table import BatchLaws
from tests.laws.table import LeaseLaws
from tests.laws.upload_rows import EXPIRY, HERE, answered, batch, change, news, over, waiting
from tests.laws.uploads_table import UploadLaws
from tests.laws.wakes import WakeLaws
from tests.twins.clock import EPOCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.region import Region

pytestmark = pytest.mark.emulator


@pytest.fixture
def items(region: Region, table: str) -> Callable[[str], dict[str, Any]]:
    """Return a look at all rows whose sort key begins with a text, by the key."""

    def look(beginning: str) -> dict[str, Any]:
        found = region.client("dynamodb").scan(TableName=table)["Items"]
        return {item["sk"]["S"]: item for item in found if item["sk"]["S"].startswith(beginning)}

    return look


@pytest.fixture
def account(region: Region, table: str) -> AccountTable:
    """Return the account of an empty table."""
    return AccountTable(region.client("dynamodb"), table)


@pytest.fixture
def leases(region: Region, table: str) -> LeasesTable:
    """Return the leases of distributions, of an empty table."""
    return LeasesTable(region.client("dynamodb"), table, "DISTRIBUTION")


class LostAnswers:
    """A client whose writes are done, and whose answers to them a proxy loses once each."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if name not in {"transact_write_items", "put_item"}:
            return call

        def twice(**arguments: Any) -> Any:
            call(**arguments)
            return call(**arguments)  # as botocore repeats it; another token, as after 10 minutes

        return twice


class Overtaken:
    """A client whose first write comes just after somebody else's."""

    def __init__(self, client: Any, other: Callable[[], object]) -> None:
        self._client = client
        self._others = [other]

    def __getattr__(self, name: str) -> Any:
        if name in {"transact_write_items", "put_item"} and self._others:
            self._others.pop()()
        return getattr(self._client, name)


class TestUploadsTable(UploadLaws):
    """Uploads in DynamoDB."""

    @pytest.fixture
    def uploads(self, region: Region, table: str) -> UploadsTable:
        """Return the port on an empty table."""
        return UploadsTable(region.client("dynamodb"), table)

    def test_rows_are_where_the_table_says(
        self, uploads: UploadsTable, items: Callable[[str], dict[str, Any]]
    ) -> None:
        """What was seen is forgotten after 30 days; what waits never is."""
        uploads.note([news(change())])
        (seen,) = items("SEEN").values()
        assert seen["pk"]["S"].startswith("OBJECT#static#")
        assert int(seen["delete_after_s"]["N"]) == EPOCH.timestamp() + 30 * 86_400
        ((name, row),) = items("WAITING#").items()
        assert row["pk"]["S"] == "DISTRIBUTION#E1EXAMPLE"
        assert name.startswith("WAITING#2026-11-25T18:00:00.000000Z#")
        assert "delete_after_s" not in row
        assert json.loads(row["document"]["S"])["path"] == "/a.png"

    def test_what_waits_is_read_over_many_pages(self, uploads: UploadsTable) -> None:
        """DynamoDB answers with 1 MB at most."""
        name = "é" * 500
        every = [waiting(change(f"{number:04}{name}")) for number in range(400)]
        uploads.ask(every)
        assert len(uploads.waiting(HERE)) == 400

    def test_a_lost_answer_changes_nothing(self, region: Region, table: str) -> None:
        """The second write is the first one's."""
        uploads = UploadsTable(LostAnswers(region.client("dynamodb")), table)  # type: ignore[arg-type]
        first, second = change(), change(sequencer="0056")
        assert list(uploads.note([news(first), news(second, seen=first)])) == []
        assert uploads.seen("static", ["a.png"]) == {"a.png": second}


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


class TestAccountTable(AccountLaws):
    """The account in DynamoDB."""

    def test_of_many_at_once_no_more_claim_than_may(self, account: AccountTable) -> None:
        """Every distribution's turn asks for itself."""
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(account.claim_call, [EPOCH] * 16))
        assert 1 <= answers.count(EPOCH) <= CALLS_AT_ONCE

    def test_a_claim_whose_answer_was_lost_is_spent(self, region: Region, table: str) -> None:
        """The account's budget is never exceeded by what nobody knows."""
        client = region.client("dynamodb")
        lost = AccountTable(LostAnswers(client), table)  # type: ignore[arg-type]
        claims = [lost.claim_call(EPOCH) == EPOCH for _ in range(CALLS_AT_ONCE)]
        assert sum(claims) < CALLS_AT_ONCE
        assert AccountTable(client, table).claim_call(EPOCH) > EPOCH


class TestDistributionLeases(LeaseLaws):
    """Leases of distributions in DynamoDB."""

    def test_a_target_of_the_same_name_has_a_lease_of_its_own(self, leases: LeasesTable) -> None:
        """The kind is part of the key."""
        assert leases.take("name", "one", EPOCH, EXPIRY)
        targets = LeasesTable(leases.client, leases.name)
        assert targets.take("name", "two", EPOCH, EXPIRY)


class TestSqsWakes(WakeLaws):
    """Wakes in DynamoDB and SQS."""

    @pytest.fixture
    def url(self, region: Region) -> str:
        """Make the queue of wakes and return its URL."""
        url: str = region.client("sqs").create_queue(QueueName="holdstill-wakes")["QueueUrl"]
        return url

    @pytest.fixture
    def calls(self) -> list[dict[str, Any]]:
        """Return what SQS was asked to send."""
        return []

    @pytest.fixture
    def wakes(self, region: Region, table: str, url: str, calls: list[dict[str, Any]]) -> SqsWakes:
        """Return the port, whose every call of SQS is known."""
        queue = region.client("sqs")
        queue.meta.events.register(
            "provide-client-params.sqs.SendMessage", lambda params, **_: calls.append(params)
        )
        return SqsWakes(region.client("dynamodb"), table, queue, url)

    @pytest.fixture
    def sent(self, calls: list[dict[str, Any]]) -> Callable[[str], int]:
        """Return how many messages were sent of a distribution."""

        def count(distribution: str) -> int:
            return [json.loads(call["MessageBody"])["distribution"] for call in calls].count(
                distribution
            )

        return count

    def test_a_message_tells_of_a_distribution(
        self, wakes: SqsWakes, region: Region, url: str, calls: list[dict[str, Any]]
    ) -> None:
        """It is delayed by SQS, and says which version it is of."""
        wakes.wake(HERE, 0, EPOCH)
        answer = region.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=5)
        assert json.loads(answer["Messages"][0]["Body"]) == {"v": 1, "distribution": HERE}
        wakes.wake(HERE, 30, EPOCH)
        assert [call["DelaySeconds"] for call in calls] == [0, 30]

    def test_a_message_that_was_not_sent_is_not_counted_on(
        self, wakes: SqsWakes, region: Region, table: str, sent: Callable[[str], int]
    ) -> None:
        """The next upload wakes for itself."""
        broken = SqsWakes(region.client("dynamodb"), table, wakes.queue, "http://127.0.0.1/gone")
        with pytest.raises(QueueError, match="wake not sent"):
            broken.wake(HERE, 60, EPOCH)
        before = sent(HERE)
        wakes.wake(HERE, 120, EPOCH + timedelta(seconds=1))
        assert sent(HERE) == before + 1

    def test_a_repeated_row_does_not_spare_the_message(
        self, wakes: SqsWakes, region: Region, table: str, sent: Callable[[str], int]
    ) -> None:
        """When the answer to the row's write is lost, the row there is our own."""
        client: Any = LostAnswers(region.client("dynamodb"))
        SqsWakes(client, table, wakes.queue, wakes.url).wake(HERE, 1, EPOCH)
        assert sent(HERE) == 1

    @pytest.mark.parametrize(("delay_s", "messages"), [(1, 1), (60, 2)])
    def test_of_two_that_look_at_once_the_first_to_come_counts(
        self,
        wakes: SqsWakes,
        sent: Callable[[str], int],
        delay_s: int,
        messages: int,
    ) -> None:
        """A folder is uploaded: many collectors see parts of it at the same time."""
        client: Any = Overtaken(wakes.client, lambda: wakes.wake(HERE, delay_s, EPOCH))
        slower = SqsWakes(client, wakes.name, wakes.queue, wakes.url)
        slower.wake(HERE, 1, EPOCH + timedelta(milliseconds=1))
        assert sent(HERE) == messages
