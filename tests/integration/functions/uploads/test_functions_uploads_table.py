"""The laws of what was seen and of what waits, kept on the emulator's DynamoDB."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from functions.adapters.uploads_table import UploadsTable
from tests.integration.functions.uploads.lost_writes import LostAnswers
from tests.laws.upload_rows import HERE, change, news, waiting
from tests.laws.uploads_table import UploadLaws
from tests.twins.clock import EPOCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.region import Region

pytestmark = pytest.mark.emulator


class TestUploadsTable(UploadLaws):
    """Uploads in DynamoDB."""

    @pytest.fixture
    def uploads(self, region: Region, table: str) -> UploadsTable:
        """Return the port on an empty table."""
        return UploadsTable(region.client("dynamodb"), table)

    def test_rows_are_where_the_table_says(
        self, uploads: UploadsTable, items: Callable[[str], dict[str, Any]]
    ) -> None:
        """What was seen is forgotten after 30 days; what waits never is."""
        uploads.note([news(change())])
        (seen,) = items("SEEN").values()
        assert seen["pk"]["S"].startswith("OBJECT#static#")
        assert int(seen["delete_after_s"]["N"]) == EPOCH.timestamp() + 30 * 86_400
        ((name, row),) = items("WAITING#").items()
        assert row["pk"]["S"] == "DISTRIBUTION#E1EXAMPLE"
        assert name.startswith("WAITING#2026-11-25T18:00:00.000000Z#")
        assert "delete_after_s" not in row
        assert json.loads(row["document"]["S"])["path"] == "/a.png"

    def test_what_waits_is_read_over_many_pages(self, uploads: UploadsTable) -> None:
        """DynamoDB answers with 1 MB at most."""
        name = "é" * 500
        every = [waiting(change(f"{number:04}{name}")) for number in range(400)]
        uploads.ask(every)
        assert len(uploads.waiting(HERE)) == 400

    def test_a_lost_answer_changes_nothing(self, region: Region, table: str) -> None:
        """The second write is the first one's."""
        uploads = UploadsTable(LostAnswers(region.client("dynamodb")), table)  # type: ignore[arg-type]
        first, second = change(), change(sequencer="0056")
        assert list(uploads.note([news(first), news(second, seen=first)])) == []
        assert uploads.seen("static", ["a.png"]) == {"a.png": second}
