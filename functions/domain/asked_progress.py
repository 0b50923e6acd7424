"""How far something that waits has come, by what the table tells of it and of the batches."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

from functions.domain.batch import BatchState
from functions.domain.coverage import Invalidation, covers
from functions.domain.invalidation_record import Aside, Contents, Record
from functions.domain.paths import Path
from functions.domain.waiting import Waiting

CLOCKS_APART: Final = timedelta(seconds=2)
"""What a row was asked at may be after what followed: it is rounded up, and by another clock. What
was set aside so shortly before it was by the same path, and is refused again."""


class Stage(StrEnum):
    """Where a row is on its way, the first stage first."""

    NOWHERE = "nowhere to be seen"
    """It does not wait, and no batch has it: only for an instant, while one is given up."""
    WAITING = "waiting"
    ASKING = "being asked for"
    """It is in a batch, and CloudFront has not answered yet."""
    IN_PROGRESS = "in progress"
    COMPLETED = "completed"
    SET_ASIDE = "set aside"
    """CloudFront refuses its path for good."""

    @property
    def last(self) -> bool:
        """Whether nothing more will come."""
        return self in (Stage.COMPLETED, Stage.SET_ASIDE)


@dataclass(frozen=True, slots=True)
class Progress:
    """A row's stage, the record of the batch that clears it, and why it was set aside."""

    stage: Stage
    record: Record | None = None
    why: str = ""


class Known:
    """The batches of one distribution and what they clear, as they become known."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._causes: dict[str, frozenset[str]] = {}
        self._clears: dict[str, Invalidation] = {}

    def unread(self, records: Iterable[Record]) -> list[Record]:
        """Take all records that matter now; return those whose contents are not known yet.

        What is not among them any more was refused, and its rows go another way. Of a batch that is
        there twice the later one counts.
        """
        self._records = {record.batch_id: record for record in records}
        return [record for name, record in self._records.items() if name not in self._causes]

    def read(self, record: Record, contents: Contents) -> None:
        """Take a batch's contents, which never change."""
        self._causes[record.batch_id] = frozenset(row.row_id for row in contents.causes)
        self._clears[record.batch_id] = Invalidation.of(map(Path, contents.paths), None)

    def progress(self, row: Waiting, waiting: Collection[str], asides: Iterable[Aside]) -> Progress:
        """Return how far the row is; `waiting` has the ids of the rows that wait.

        Read what waits before the batches: a row is deleted only when its batch tells of it.
        """
        alive = [
            record
            for record in self._records.values()
            if record.state is not BatchState.REFUSED and record.batch_id in self._causes
        ]
        for record in reversed(alive):
            if row.row_id in self._causes[record.batch_id]:
                return Progress(stage_of(record), record)
        for aside in asides:
            if aside.path == row.path.text and aside.at > row.change.at - CLOCKS_APART:
                return Progress(Stage.SET_ASIDE, why=aside.why)
        for record in alive:
            made = replace(self._clears[record.batch_id], created_at=record.created_at)
            if covers(made, row.path, row.change):
                return Progress(stage_of(record), record)
        return Progress(Stage.WAITING if row.row_id in waiting else Stage.NOWHERE)


def stage_of(record: Record) -> Stage:
    """Return the stage of what a batch that was not refused clears."""
    if record.completed_at is not None:
        return Stage.COMPLETED
    return Stage.IN_PROGRESS if record.state is BatchState.ANSWERED else Stage.ASKING
