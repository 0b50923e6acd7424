"""The leases in the table: one run per target at a time, one turn per distribution.

The expiry is compared by whoever wants the lease: DynamoDB's TTL may delete two days late.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from functions.adapters.table import LEASE, attributes, key, permitted, read

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_OWNER: Final = {"#owner": "owner"}  # a reserved word


@dataclass(frozen=True, slots=True)
class LeasesTable:
    """An owner is a run's name, or a turn's. `kind`: of what; `target` is the name of one such."""

    client: "DynamoDBClient"
    name: str
    kind: Literal["TARGET", "DISTRIBUTION"] = "TARGET"

    def take(self, target: str, owner: str, now: datetime, expires_at: datetime) -> bool:
        """Take the lease; False while another owner's is alive. Raise TableError."""
        return permitted(
            lambda: self.client.put_item(
                TableName=self.name,
                Item=self._key(target)
                | attributes({"owner": owner, "expires_s": int(expires_at.timestamp())}),
                ConditionExpression="attribute_not_exists(pk) OR expires_s < :now"
                " OR #owner = :owner",
                ExpressionAttributeNames=_OWNER,
                ExpressionAttributeValues=attributes(
                    {":now": int(now.timestamp()), ":owner": owner}
                ),
            )
        )

    def renew(self, target: str, owner: str, expires_at: datetime) -> bool:
        """Put the expiry off; False where somebody else has the lease. Raise TableError."""
        return permitted(
            lambda: self.client.update_item(
                TableName=self.name,
                Key=self._key(target),
                UpdateExpression="SET expires_s = :expires",
                ConditionExpression="#owner = :owner",
                ExpressionAttributeNames=_OWNER,
                ExpressionAttributeValues=attributes(
                    {":expires": int(expires_at.timestamp()), ":owner": owner}
                ),
            )
        )

    def release(self, target: str, owner: str) -> bool:
        """Give the lease back; False where somebody else has it. Raise TableError."""
        return permitted(
            lambda: self.client.delete_item(
                TableName=self.name,
                Key=self._key(target),
                ConditionExpression="#owner = :owner",
                ExpressionAttributeNames=_OWNER,
                ExpressionAttributeValues=attributes({":owner": owner}),
            )
        )

    def alive(self, target: str, owner: str, now: datetime) -> bool:
        """Return whether `owner` has the lease, not expired; raise TableError."""
        answer = read(
            lambda: self.client.get_item(
                TableName=self.name, Key=self._key(target), ConsistentRead=True
            )
        )
        item = answer.get("Item")
        return (
            item is not None
            and item["owner"]["S"] == owner
            and int(item["expires_s"]["N"]) >= int(now.timestamp())
        )

    def _key(self, target: str) -> "dict[str, AttributeValueTypeDef]":
        return key(f"{self.kind}#{target}", LEASE)
