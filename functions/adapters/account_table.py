"""What all distributions of the account share, in the table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from functions.adapters import rows
from functions.adapters.batch_rows import SITE, used_row
from functions.adapters.table import CALLS, attributes, of_account, permitted
from functions.domain import instants
from functions.domain.errors import TableError
from functions.domain.invalidation_limits import CALLS_KNOWN_S, next_call_at

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_TRIES: Final = 50
"""One of those that claim at the same instant succeeds at each try: fewer ever are."""


@dataclass(frozen=True, slots=True)
class AccountTable:
    """The account's calls, and the paths it has used."""

    client: "DynamoDBClient"
    name: str

    def claim_call(self, now: datetime) -> datetime:
        """Claim a call, which is ours if `now` is returned; else ask again then. TableError.

        A claim whose answer was lost is spent: the next one may come too late, never too early.
        """
        for _ in range(_TRIES):
            item = rows.get(self.client, self.name, of_account(CALLS)) or {}
            calls = [instants.read(call["S"]) for call in item["calls"]["L"]] if item else []
            at = next_call_at(calls, now)
            if at > now or self._claim([*calls, now], _version(item), now):
                return at
        raise TableError(f"no call could be claimed: {_TRIES} times another was faster")

    def _claim(self, calls: list[datetime], version: int, now: datetime) -> bool:
        since = now - timedelta(seconds=CALLS_KNOWN_S)
        known = [instants.exact(call) for call in calls if call >= since]
        return permitted(
            lambda: self.client.put_item(
                TableName=self.name,
                Item=of_account(CALLS) | attributes({"calls": known, "version": version + 1}),
                ConditionExpression="version = :version OR attribute_not_exists(pk)",
                ExpressionAttributeValues=attributes({":version": version}),
            )
        )

    def used(self, month: datetime) -> Mapping[str, int]:
        """Return the paths that each site has used in the month of an instant; raise TableError."""
        item = rows.get(self.client, self.name, used_row(month)) or {}
        return {
            name.removeprefix(SITE): int(value["N"])
            for name, value in item.items()
            if name.startswith(SITE)
        }


def _version(item: "Mapping[str, AttributeValueTypeDef]") -> int:
    return int(item["version"]["N"]) if item else 0
