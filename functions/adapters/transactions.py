"""Writes of several rows: all of them or none.

DynamoDB takes at most 100 rows and 4 MB. botocore gives each call a token, with which its own
repetition after a lost answer is the same write; but only ours, and only for ten minutes.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from functions.adapters.table import CONFLICTS_S, LEASE, attributes, of_distribution
from functions.adapters.unanswered import UNANSWERED
from functions.domain.errors import TableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef


def transact(client: "DynamoDBClient", writes: "Sequence[TransactWriteItemTypeDef]") -> bool:
    """Write, and return whether every condition held; raise TableError for all else."""
    for pause_s in (*CONFLICTS_S, None):
        try:
            client.transact_write_items(TransactItems=writes)
        except ClientError as error:
            reasons = _reasons(error)
            if "ConditionalCheckFailed" in reasons:
                return False
            if "TransactionConflict" not in reasons or pause_s is None:
                raise TableError(str(error)) from error
            time.sleep(pause_s)
        except UNANSWERED as error:
            raise TableError(str(error)) from error
        else:
            break
    return True


def leased(table: str, distribution: str, owner: str) -> "TransactWriteItemTypeDef":
    """Return the check that `owner` has a distribution's lease at the instant of the write.

    It may have expired: as long as nobody else has taken it, nobody else writes.
    """
    return {
        "ConditionCheck": {
            "TableName": table,
            "Key": of_distribution(distribution, LEASE),
            "ConditionExpression": "#owner = :owner",
            "ExpressionAttributeNames": {"#owner": "owner"},
            "ExpressionAttributeValues": attributes({":owner": owner}),
        }
    }


def _reasons(error: ClientError) -> set[str]:
    """Return why each row was not written; none where that is not what the error tells."""
    reasons = error.response.get("CancellationReasons", ())
    return {str(reason.get("Code")) for reason in reasons}
