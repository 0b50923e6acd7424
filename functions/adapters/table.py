"""The one table: how its rows are named and written, and what its refusals mean.

| row | pk | sk | besides |
|---|---|---|---|
| run | TARGET#name | RUN#scheduled time | open_pk, open_sk (its deadline) while it is open |
| lease | TARGET#name | LEASE | owner, expires_s (epoch seconds) |
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from botocore.exceptions import ClientError

from functions.adapters.unanswered import UNANSWERED
from functions.domain.errors import TableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

OPEN_RUNS: Final = "open-runs"
OPEN: Final = "OPEN"
LEASE: Final = "LEASE"

_Answer = TypeVar("_Answer")


def row(target: str, kind: str) -> dict[str, "AttributeValueTypeDef"]:
    """Return the key of a row: of a target's lease, or of one of its runs."""
    return {"pk": {"S": f"TARGET#{target}"}, "sk": {"S": kind}}


def run_kind(scheduled_at: str) -> str:
    """Return the sort key of the run of a scheduled time, given as ISO 8601 text."""
    return f"RUN#{scheduled_at}"


def attributes(values: Mapping[str, object]) -> dict[str, "AttributeValueTypeDef"]:
    """Return values as DynamoDB writes them."""
    return {name: _attribute(value) for name, value in values.items()}


def permitted(write: Callable[[], _Answer]) -> bool:
    """Write, and return whether the write's condition held; raise TableError for all else."""
    try:
        write()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException":
            return False
        raise TableError(str(error)) from error
    except UNANSWERED as error:
        raise TableError(str(error)) from error
    return True


def read(ask: Callable[[], _Answer]) -> _Answer:
    """Read; raise TableError."""
    try:
        return ask()
    except (*UNANSWERED, ClientError) as error:
        raise TableError(str(error)) from error


def _attribute(value: object) -> "AttributeValueTypeDef":
    match value:
        case str():
            return {"S": value}
        case bool():  # before int, which it is too
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case Mapping():
            return {"M": attributes(value)}
        case tuple() | list():
            return {"L": [_attribute(item) for item in value]}
        case _:
            raise TypeError(f"{type(value).__name__} has no place in a row")
