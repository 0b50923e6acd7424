"""The laws of what distributions share, the account and the leases, on the emulator's DynamoDB."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from functions.adapters.account_table import AccountTable
from functions.adapters.leases_table import LeasesTable
from functions.domain.invalidation_limits import CALLS_AT_ONCE
from tests.integration.functions.uploads.lost_writes import LostAnswers
from tests.laws.account_table import AccountLaws
from tests.laws.table import LeaseLaws
from tests.laws.upload_rows import EXPIRY
from tests.twins.clock import EPOCH

if TYPE_CHECKING:
    from lab.region import Region

pytestmark = pytest.mark.emulator


class TestAccountTable(AccountLaws):
    """The account in DynamoDB."""

    def test_of_many_at_once_no_more_claim_than_may(self, account: AccountTable) -> None:
        """Every distribution's turn asks for itself."""
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(account.claim_call, [EPOCH] * 16))
        assert 1 <= answers.count(EPOCH) <= CALLS_AT_ONCE

    def test_a_claim_whose_answer_was_lost_is_spent(self, region: Region, table: str) -> None:
        """The account's budget is never exceeded by what nobody knows."""
        client = region.client("dynamodb")
        lost = AccountTable(LostAnswers(client), table)  # type: ignore[arg-type]
        claims = [lost.claim_call(EPOCH) == EPOCH for _ in range(CALLS_AT_ONCE)]
        assert sum(claims) < CALLS_AT_ONCE
        assert AccountTable(client, table).claim_call(EPOCH) > EPOCH


class TestDistributionLeases(LeaseLaws):
    """Leases of distributions in DynamoDB."""

    def test_a_target_of_the_same_name_has_a_lease_of_its_own(self, leases: LeasesTable) -> None:
        """The kind is part of the key."""
        assert leases.take("name", "one", EPOCH, EXPIRY)
        targets = LeasesTable(leases.client, leases.name)
        assert targets.take("name", "two", EPOCH, EXPIRY)
