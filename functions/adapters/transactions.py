"""Writes of several rows: all of them or none.

DynamoDB takes at most 100 rows and 4 MB. botocore gives each call a token, with which its own
repetition after a lost answer is the same write; but only ours, and only for ten minutes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from functions.adapters.table import LEASE, attributes, of_distribution, permitted

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef


def transact(client: "DynamoDBClient", writes: "Sequence[TransactWriteItemTypeDef]") -> bool:
    """Write, and return whether every condition held; raise TableError for all else."""
    return permitted(lambda: client.transact_write_items(TransactItems=writes))


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
