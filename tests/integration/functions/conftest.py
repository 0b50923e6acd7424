"""The functions' table, in the Region of the integration tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lab.region import Region


@pytest.fixture
def table(region: Region) -> str:
    """Make the table, keyed and indexed as the stack has it, and return its name."""
    names = ("pk", "sk", "open_pk", "open_sk")
    region.client("dynamodb").create_table(
        TableName="holdstill",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        KeySchema=_key("pk", "sk"),
        GlobalSecondaryIndexes=[
            {
                "IndexName": "open-runs",
                "KeySchema": _key("open_pk", "open_sk"),
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    return "holdstill"


def _key(hashed: str, ranged: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": hashed, "KeyType": "HASH"},
        {"AttributeName": ranged, "KeyType": "RANGE"},
    ]
