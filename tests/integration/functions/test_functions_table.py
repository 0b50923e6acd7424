"""The table's laws, kept by the adapters on the emulator's DynamoDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from functions.adapters.leases_table import LeasesTable
from functions.adapters.runs_table import RunsTable
from functions.domain.runs import EndedRun
from tests.laws.table import LATER, LeaseLaws, RunLaws, ended, opened, talkative

if TYPE_CHECKING:
    from lab.region import Region

pytestmark = pytest.mark.emulator


class TestRunsTable(RunLaws):
    """Runs in DynamoDB."""

    @pytest.fixture
    def runs(self, region: Region, table: str) -> RunsTable:
        """Return an empty table."""
        return RunsTable(region.client("dynamodb"), table)

    def test_the_record_holds_all_that_is_known(self, runs: RunsTable, region: Region) -> None:
        """Text, numbers, flags, lists and documents come to the table as they are."""
        run = opened()
        runs.open(run)
        runs.end(ended(run))
        item = region.client("dynamodb").get_item(
            TableName="holdstill",
            Key={"pk": {"S": "TARGET#recipes-db"}, "sk": {"S": "RUN#2026-11-25T18:00:00Z"}},
        )["Item"]
        assert item["state"] == {"S": "succeeded"}
        assert item["verdict"] == {"S": "consistent"}
        assert item["ended_at"]["S"] == f"{LATER:%Y-%m-%dT%H:%M:%SZ}"
        attempt = item["attempts"]["L"][0]["M"]
        assert attempt["frozen"]["M"]["position"]["M"]["gtid"] == {"S": "0-1-42"}
        assert attempt["thawed"]["M"]["intact"] == {"BOOL": True}
        assert attempt["timings"]["M"]["call_ms"] == {"N": "300"}
        assert "open_pk" not in item

    def test_a_run_of_long_gtid_sets_ends_in_the_table(
        self, runs: RunsTable, region: Region
    ) -> None:
        """Ten attempts with 256 KiB each: more than DynamoDB takes in a row, recorded anyhow."""
        run = opened()
        runs.open(run)
        assert runs.end(EndedRun(run, LATER, talkative("0-1-42," * 37_000, attempts=10)))
        item = region.client("dynamodb").get_item(
            TableName="holdstill",
            Key={"pk": {"S": "TARGET#recipes-db"}, "sk": {"S": "RUN#2026-11-25T18:00:00Z"}},
        )["Item"]
        last = item["attempts"]["L"][-1]["M"]
        assert len(last["frozen"]["M"]["position"]["M"]["gtid"]["S"]) == 259_000


class TestLeasesTable(LeaseLaws):
    """Leases in DynamoDB."""

    @pytest.fixture
    def leases(self, region: Region, table: str) -> LeasesTable:
        """Return an empty table."""
        return LeasesTable(region.client("dynamodb"), table)
