"""What DynamoDB left undone, or could not do just then, is done in the end or is an error."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.adapters import rows
from functions.adapters.table import CONFLICTS_S, key, permitted
from functions.adapters.transactions import transact
from functions.domain.errors import TableError

KEYS = [key("pk", f"{number:03}") for number in range(60)]


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses, which take no time."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


def refusal(code: str, *reasons: str) -> ClientError:
    """Return DynamoDB's refusal, with the reasons of a transaction's rows."""
    answer: Any = {
        "Error": {"Code": code, "Message": "no"},
        "CancellationReasons": [{"Code": reason} for reason in reasons],
    }
    return ClientError(answer, "Write")


class Busy:
    """A table that refuses so many writes, then takes them."""

    def __init__(self, error: ClientError, times: int) -> None:
        self.left = [error] * times
        self.taken = 0

    def transact_write_items(self, **_: object) -> None:
        """Refuse or take."""
        if self.left:
            raise self.left.pop()
        self.taken += 1


class Throttled:
    """A table that does but so many rows of a call."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.calls: list[int] = []
        self.done: list[Any] = []

    def batch_write_item(self, RequestItems: Any) -> Any:  # noqa: N803  boto3's name
        """Write the first of them."""
        ((table, requests),) = RequestItems.items()
        self.calls.append(len(requests))
        self.done += requests[: self.most]
        left = requests[self.most :]
        return {"UnprocessedItems": {table: left} if left else {}}

    def batch_get_item(self, RequestItems: Any) -> Any:  # noqa: N803  likewise
        """Return the first of them."""
        ((table, asked),) = RequestItems.items()
        assert asked["ConsistentRead"]
        found, left = asked["Keys"][: self.most], asked["Keys"][self.most :]
        return {
            "Responses": {table: found},
            "UnprocessedKeys": {table: {"Keys": left}} if left else {},
        }


Write = Callable[[Busy], bool]
WRITES: list[tuple[Write, ClientError]] = [
    (
        lambda table: transact(table, []),  # type: ignore[arg-type]
        refusal("TransactionCanceledException", "None", "TransactionConflict"),
    ),
    (
        lambda table: permitted(table.transact_write_items),
        refusal("TransactionConflictException"),
    ),
]


@pytest.mark.parametrize(("write", "conflict"), WRITES)
def test_a_write_that_met_another_is_repeated(
    write: Write, conflict: ClientError, pauses: list[float]
) -> None:
    """It was not refused: its condition was not looked at."""
    table = Busy(conflict, 3)
    assert write(table)
    assert table.taken == 1
    assert pauses == list(CONFLICTS_S[:3])


@pytest.mark.parametrize(("write", "conflict"), WRITES)
def test_a_write_that_always_meets_another_is_an_error(write: Write, conflict: ClientError) -> None:
    """Somebody must know, and the next turn tries again."""
    with pytest.raises(TableError, match="no"):
        write(Busy(conflict, 99))


@pytest.mark.parametrize(
    "reasons", [("ConditionalCheckFailed",), ("TransactionConflict", "ConditionalCheckFailed")]
)
def test_a_condition_that_fails_is_no_error(reasons: tuple[str, ...]) -> None:
    """Also where another row of the transaction met another write."""
    table: Any = Busy(refusal("TransactionCanceledException", *reasons), 1)
    assert transact(table, []) is False


@pytest.mark.parametrize(
    "error",
    [
        refusal("TransactionCanceledException", "ValidationError"),
        refusal("ValidationException"),
        refusal("AccessDeniedException"),
    ],
)
def test_any_other_refusal_is_an_error(error: ClientError) -> None:
    """And is not mistaken for a condition."""
    table: Any = Busy(error, 1)
    with pytest.raises(TableError):
        transact(table, [])


def test_all_rows_are_written_however_few_a_call_does() -> None:
    """Each once, 25 a call at most; one named twice is written once."""
    table: Any = Throttled(10)
    rows.put_all(table, "holdstill", [*KEYS, *KEYS])
    assert [request["PutRequest"]["Item"] for request in table.done] == KEYS
    assert max(table.calls) == 25
    rows.delete_all(table, "holdstill", KEYS)
    assert [request["DeleteRequest"]["Key"] for request in table.done[60:]] == KEYS


def test_all_rows_are_read_however_few_a_call_does() -> None:
    """A key without its row would be taken for one that was never seen."""
    table: Any = Throttled(25)
    assert rows.get_all(table, "holdstill", [*KEYS, *KEYS]) == KEYS


def test_rows_that_stay_undone_are_an_error() -> None:
    """What was to wait, and does not, is never acknowledged."""
    table: Any = Throttled(0)
    with pytest.raises(TableError, match="25 rows undone"):
        rows.put_all(table, "holdstill", KEYS)
