"""The twins keep the laws of the uploads' rows, so that tests may stand on them."""

from collections.abc import Callable

import pytest

from functions.domain.batch import LookUp, Made, Refused, Unanswered
from functions.domain.errors import CloudFrontError
from functions.domain.invalidation_limits import Meaning
from lab.edge.controls import Fault
from tests.laws.account_table import AccountLaws
from tests.laws.batches_table import BatchLaws
from tests.laws.table import LeaseLaws
from tests.laws.upload_rows import HERE, batch, change, news, waiting
from tests.laws.uploads_table import UploadLaws
from tests.laws.wakes import WakeLaws
from tests.twins.clock import EPOCH, TwinClock
from tests.twins.cloudfront import TwinCloudFront
from tests.twins.uploads import (
    SteppedLeases,
    TwinAccount,
    TwinBatches,
    TwinTable,
    TwinUploads,
    TwinWakes,
)


class CrashError(Exception):
    """The process ends here."""


@pytest.fixture
def table() -> TwinTable:
    """Return an empty table."""
    return TwinTable()


@pytest.fixture
def clock() -> TwinClock:
    """Return a clock."""
    return TwinClock()


@pytest.fixture
def cloudfront(clock: TwinClock) -> TwinCloudFront:
    """Return a CloudFront that has made nothing."""
    return TwinCloudFront(clock)


class TestTwinUploads(UploadLaws):
    """Uploads in memory."""

    @pytest.fixture
    def uploads(self, table: TwinTable) -> TwinUploads:
        """Return the port."""
        return table.uploads


class TestTwinBatches(BatchLaws):
    """Batches in memory."""

    @pytest.fixture
    def batches(self, table: TwinTable) -> TwinBatches:
        """Return the port."""
        return table.batches

    @pytest.fixture
    def leases(self, table: TwinTable) -> SteppedLeases:
        """Return the leases of the same table."""
        return table.leases

    @pytest.fixture
    def account(self, table: TwinTable) -> TwinAccount:
        """Return the account of the same table."""
        return table.account


class TestTwinAccount(AccountLaws):
    """The account in memory."""

    @pytest.fixture
    def account(self, table: TwinTable) -> TwinAccount:
        """Return the port."""
        return table.account


class TestTwinWakes(WakeLaws):
    """Wakes in memory."""

    @pytest.fixture
    def wakes(self, table: TwinTable) -> TwinWakes:
        """Return the port."""
        return table.wakes

    @pytest.fixture
    def sent(self, table: TwinTable) -> Callable[[str], int]:
        """Return how many wakes each distribution has on its way."""

        def count(distribution: str) -> int:
            return [name for _, name in table.messages].count(distribution)

        return count


class TestSteppedLeases(LeaseLaws):
    """Leases in memory, with the hook."""

    @pytest.fixture
    def leases(self, table: TwinTable) -> SteppedLeases:
        """Return the port."""
        return table.leases


def crash_at(step: int, table: TwinTable) -> None:
    """Let the process end at the hook's so many-th call, from 0."""
    left = iter([None] * step)

    def hook(_: str) -> None:
        if next(left, CrashError) is CrashError:
            raise CrashError

    table.steps = hook


@pytest.mark.parametrize(("step", "rows"), [(0, 0), (1, 1), (2, 2)])
def test_a_crash_comes_between_two_writes_as_well(table: TwinTable, step: int, rows: int) -> None:
    """Before the first, between the two, and after the last."""
    crash_at(step, table)
    with pytest.raises(CrashError):
        table.uploads.note([news(change("a")), news(change("b"))])
    assert len(table.waiting[HERE]) == len(table.seen) == rows


@pytest.mark.parametrize(("step", "stored"), [(0, False), (1, True)])
def test_a_write_happens_before_a_crash_or_not_at_all(
    table: TwinTable, step: int, stored: bool
) -> None:
    """A batch is one write, with what comes with it."""
    table.leases.take(HERE, "one", EPOCH, EPOCH)
    crash_at(step, table)
    with pytest.raises(CrashError):
        table.batches.store(*batch("1"), "one")
    assert bool(table.open) is stored


def test_a_crash_comes_between_a_wakes_row_and_its_message(table: TwinTable) -> None:
    """There the wake is lost, and a test can show who makes up for it."""
    crash_at(1, table)
    with pytest.raises(CrashError):
        table.wakes.wake(HERE, 1, EPOCH)
    assert table.due
    assert not table.messages


def test_a_row_is_settled_by_itself(table: TwinTable) -> None:
    """A crash may leave some of them."""
    both = [waiting(change("a")), waiting(change("b"))]
    table.uploads.ask(both)
    crash_at(1, table)
    with pytest.raises(CrashError):
        table.uploads.settle(both)
    assert list(table.waiting[HERE].values()) == both[1:]


def test_a_delivered_wake_is_delivered_once(table: TwinTable) -> None:
    """When it is due, and not before."""
    table.wakes.wake(HERE, 1, EPOCH)
    (due,) = table.due.values()
    assert table.delivered(EPOCH) == []
    assert table.delivered(due) == [HERE]
    assert table.delivered(due) == []


def test_an_invalidation_reaches_the_edge_after_its_delay(
    cloudfront: TwinCloudFront, clock: TwinClock
) -> None:
    """The old object is shown until then, and the new one from then on."""
    assert cloudfront.visit(HERE, "/a.png", b"old") == b"old"
    made = cloudfront.create(HERE, "r", ["/a.png"])
    assert isinstance(made, Made)
    assert cloudfront.visit(HERE, "/a.png", b"new") == b"old"
    clock.sleep(1)
    assert not cloudfront.is_cached(HERE, "/a.png")
    assert cloudfront.visit(HERE, "/a.png", b"new") == b"new"
    assert cloudfront.completed(HERE, [made.invalidation_id]) == frozenset()
    clock.sleep(20)
    assert cloudfront.completed(HERE, [made.invalidation_id]) == {made.invalidation_id}


def test_a_reference_is_of_one_batch(cloudfront: TwinCloudFront, clock: TwinClock) -> None:
    """Again it makes nothing new, and with other paths nothing at all."""
    first = cloudfront.create(HERE, "r", ["/a"])
    clock.sleep(5)
    assert cloudfront.create(HERE, "r", ["/a"]) == first
    other = cloudfront.create(HERE, "r", ["/b"])
    assert isinstance(other, Refused)
    assert other.meaning is Meaning.REFERENCE_TAKEN
    assert cloudfront.paths_used(HERE).exact == 1
    assert cloudfront.look_up(HERE, LookUp("r", ("/a",))) == first


def test_the_limits_in_progress_are_counted_apart(cloudfront: TwinCloudFront) -> None:
    """3,000 exact paths and 15 wildcards, until they are completed."""
    cloudfront.controls = cloudfront.controls.changed({"throttling": False})
    assert isinstance(cloudfront.create(HERE, "1", [f"/{n}" for n in range(3_000)]), Made)
    assert isinstance(cloudfront.create(HERE, "2", [f"/{n}*" for n in range(15)]), Made)
    for paths in (["/a"], ["/a*"]):
        answer = cloudfront.create(HERE, str(paths), paths)
        assert isinstance(answer, Refused)
        assert answer.meaning is Meaning.FULL
    cloudfront.clock.sleep(20)
    assert isinstance(cloudfront.create(HERE, "3", ["/a", "/a*"]), Made)
    assert (cloudfront.highest(HERE).exact, cloudfront.highest(HERE).wildcards) == (3_000, 15)


def test_the_accounts_budget_is_of_all_calls(cloudfront: TwinCloudFront) -> None:
    """Reading too spends it, as long as nobody knows better."""
    for number in range(6):
        assert isinstance(cloudfront.create(HERE, str(number), ["/a"]), Made)
    answer = cloudfront.create("E2EXAMPLE", "r", ["/a"])
    assert isinstance(answer, Refused)
    assert answer.meaning is Meaning.THROTTLED
    with pytest.raises(CloudFrontError, match="Throttling"):
        cloudfront.completed(HERE, ["I1"])
    assert cloudfront.refused == {"Throttling": 2}


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_is_what_the_labs_is(cloudfront: TwinCloudFront, fault: Fault) -> None:
    """Some come after the deed; the next call finds all well."""
    cloudfront.faults.append(fault)
    answer = cloudfront.create(HERE, "r", ["/a"])
    if fault in {Fault.THROTTLE, Fault.TOO_MANY}:
        assert isinstance(answer, Refused)
    else:
        assert answer == Unanswered()
    assert len(cloudfront.made(HERE)) == fault.comes_after_the_deed
    assert isinstance(cloudfront.create(HERE, "r", ["/a"]), Made)
    assert len(cloudfront.made(HERE)) == 1


def test_bad_paths_are_refused(cloudfront: TwinCloudFront) -> None:
    """Those of the documentation, and those that a test calls bad."""
    cloudfront.bad_paths = {"/bad"}
    for path in ("/bad", "no-slash", "/a b"):
        answer = cloudfront.create(HERE, path, ["/a", path])
        assert isinstance(answer, Refused)
        assert answer.meaning is Meaning.BAD_PATHS
    assert cloudfront.made(HERE) == []
