"""However much there is, a turn reads a part that it can hold and that it has time for."""

from collections.abc import Iterator
from typing import Any, Self

from functions.adapters.uploads_table import UploadsTable
from functions.domain.invalidation_json import write_waiting
from functions.domain.paths import Path
from functions.domain.uploads import Change, Kind
from functions.domain.waiting import Waiting
from functions.upload_ports import MOST_WAITING
from tests.twins.clock import EPOCH

PAGE = 1_000


class Endless:
    """A table whose query never comes to an end; `pages` counts those that were asked for."""

    def __init__(self, document: str) -> None:
        self._item = {"document": {"S": document}}
        self.pages = 0

    def get_paginator(self, _name: str) -> Self:
        """Return what asks for pages."""
        return self

    def paginate(self, **_: object) -> Iterator[Any]:
        """Yield pages."""
        while self.pages <= 2 * MOST_WAITING / PAGE:  # a defect must fail, and not hang
            self.pages += 1
            yield {"Items": [self._item] * PAGE}


def test_a_turn_reads_no_more_rows_than_it_can_hold() -> None:
    """A lifecycle rule can remove millions of objects: the rest comes in its next rounds."""
    change = Change("example-static", "a.png", Kind.EXPIRED, None, EPOCH)
    table: Any = Endless(write_waiting(Waiting("E1EXAMPLE", "static", Path("/a.png"), change)))
    rows = UploadsTable(table, "holdstill").waiting("E1EXAMPLE")
    assert len(rows) == MOST_WAITING
    assert table.pages <= MOST_WAITING / PAGE + 1
