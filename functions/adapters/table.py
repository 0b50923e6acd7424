"""The one table: how its rows are named and written, and what its refusals mean.

| row | pk | sk | besides |
|---|---|---|---|
| run | TARGET#name | RUN#scheduled time | open_pk, open_sk (its deadline) while it is open |
| lease | TARGET#name, DISTRIBUTION#id | LEASE | owner, expires_s (epoch seconds) |
| seen | OBJECT#site#SHA-256 of the key | SEEN | document: the key's last change |
| waiting | DISTRIBUTION#id | WAITING#row id (the oldest first) | document |
| batch | DISTRIBUTION#id | BATCH#OPEN#batch id, at last BATCH#DONE#batch id | document, contents |
| contents | DISTRIBUTION#id | PART#batch id#digest#number | piece: bytes |
| answered | DISTRIBUTION#id | ANSWERED#CloudFront's CreateTime#batch id | batch_id |
| aside | DISTRIBUTION#id | ASIDE#SHA-256 of the path | document |
| wake | DISTRIBUTION#id | WAKE | due: when the next look is |
| calls | ACCOUNT | CALLS | calls: the instants of the last ones; version |
| used | ACCOUNT | USED#year-month | site:name: how many paths, for each site |

A document is JSON (`functions.domain.invalidation_json`), so that a whole row can be a condition:
equal texts are equal values. A batch's contents are named by a digest, and parts says how many
rows they are. DynamoDB deletes a row some time after its delete_after_s (epoch seconds), if it has
one.
"""

import hashlib
import time
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
SEEN: Final = "SEEN"
WAITING: Final = "WAITING#"
BATCH_OPEN: Final = "BATCH#OPEN#"
BATCH_DONE: Final = "BATCH#DONE#"
PART: Final = "PART#"
ANSWERED: Final = "ANSWERED#"
ASIDE: Final = "ASIDE#"
WAKE: Final = "WAKE"
CALLS: Final = "CALLS"
USED: Final = "USED#"

DOCUMENT: Final = {"#document": "document"}
"""For expressions: so the word may be a reserved one."""

CONFLICTS_S: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Pauses after a write that met another one of the same row: botocore does not repeat these."""

_Answer = TypeVar("_Answer")


def key(pk: str, sk: str) -> dict[str, "AttributeValueTypeDef"]:
    """Return the key of a row."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def of_distribution(distribution: str, sk: str) -> dict[str, "AttributeValueTypeDef"]:
    """Return the key of one of a distribution's rows."""
    return key(f"DISTRIBUTION#{distribution}", sk)


def of_object(site: str, name: str) -> dict[str, "AttributeValueTypeDef"]:
    """Return the key of the row of what was seen of a site's object, by the object's own key."""
    return key(f"OBJECT#{site}#{digest(name)}", SEEN)


def of_account(sk: str) -> dict[str, "AttributeValueTypeDef"]:
    """Return the key of one of the account's rows."""
    return key("ACCOUNT", sk)


def digest(name: str) -> str:
    """Return the SHA-256 of a name: an object's may be longer than a row's may (1,024 bytes)."""
    return hashlib.sha256(name.encode()).hexdigest()


def row(target: str, kind: str) -> dict[str, "AttributeValueTypeDef"]:
    """Return the key of one of a target's rows."""
    return key(f"TARGET#{target}", kind)


def run_kind(scheduled_at: str) -> str:
    """Return the sort key of the run of a scheduled time, given as ISO 8601 text."""
    return f"RUN#{scheduled_at}"


def attributes(values: Mapping[str, object]) -> dict[str, "AttributeValueTypeDef"]:
    """Return values as DynamoDB writes them."""
    return {name: _attribute(value) for name, value in values.items()}


def permitted(write: Callable[[], _Answer]) -> bool:
    """Write, and return whether every condition held; raise TableError for all else."""
    for pause_s in (*CONFLICTS_S, None):
        try:
            write()
        except ClientError as error:
            why = _refusals(error)
            if "ConditionalCheckFailed" in why:
                return False
            if "TransactionConflict" not in why or pause_s is None:
                raise TableError(str(error)) from error
            time.sleep(pause_s)
        except UNANSWERED as error:
            raise TableError(str(error)) from error
        else:
            break
    return True


def _refusals(error: ClientError) -> set[str]:
    """Return why a write was refused; of a transaction, why each of its rows was."""
    code = str(error.response.get("Error", {}).get("Code"))
    reasons = error.response.get("CancellationReasons", ())
    return {code.removesuffix("Exception"), *(str(reason.get("Code")) for reason in reasons)}


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
        case bytes():
            return {"B": value}
        case Mapping():
            return {"M": attributes(value)}
        case tuple() | list():
            return {"L": [_attribute(item) for item in value]}
        case _:
            raise TypeError(f"{type(value).__name__} has no place in a row")
