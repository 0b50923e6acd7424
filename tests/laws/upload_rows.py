"""The rows that the laws of the uploads are about: changes, what waits, batches and records."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from functions.domain.batch import Batch, BatchState
from functions.domain.invalidation_record import Contents, Record
from functions.domain.paths import Path
from functions.domain.uploads import Change, Kind
from functions.domain.waiting import Waiting
from functions.upload_ports import News
from tests.twins.clock import EPOCH

HERE, THERE = "E1EXAMPLE", "E2EXAMPLE"
EXPIRY = EPOCH + timedelta(minutes=15)


def change(key: str = "a.png", *, after_s: float = 0, sequencer: str | None = "0055") -> Change:
    """Return a change of an object, so many seconds after the epoch."""
    at = EPOCH + timedelta(seconds=after_s)
    return Change("example-static", key, Kind.CREATED, sequencer, at)


def waiting(of: Change | None = None, *, distribution: str = HERE, path: str = "") -> Waiting:
    """Return a row of a change."""
    of = of or change()
    return Waiting(distribution, "static", Path(path) if path else Path.of_key(of.key), of)


def news(of: Change, seen: Change | None = None, rows: Sequence[Waiting] | None = None) -> News:
    """Return what a change makes known, with its one row."""
    return News("static", of, seen, (waiting(of),) if rows is None else tuple(rows))


def batch(
    name: str = "20261125T180000.1", *keys: str, distribution: str = HERE
) -> tuple[Record, Contents]:
    """Return a batch of the changes of so many keys, as it is first stored."""
    rows = tuple(waiting(change(key), distribution=distribution) for key in keys or ("a.png",))
    contents = Contents(tuple(row.path.text for row in rows), rows, {"/b/*": "cheaper"})
    made = Batch(distribution, name, contents.paths, BatchState.ASKED)
    return replace(Record.of(made, EPOCH), asked_at=EPOCH), contents


def answered(record: Record, *, created_at: datetime = EPOCH) -> Record:
    """Return the record once CloudFront has answered."""
    return replace(
        record,
        state=BatchState.ANSWERED,
        invalidation_id=f"I{record.batch_id}",
        created_at=created_at,
    )


def over(record: Record) -> Record:
    """Return an answered record once nothing is left to do."""
    return replace(record, settled=True, completed_at=EPOCH + timedelta(seconds=20))
