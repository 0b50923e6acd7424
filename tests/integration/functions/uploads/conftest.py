"""The ports on an empty table, and a look at its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from functions.adapters.account_table import AccountTable
from functions.adapters.leases_table import LeasesTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.region import Region


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
