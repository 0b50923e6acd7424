"""The contents of a batch in the table: in pieces, because a row holds 400 KB.

They are written before the record that points to them, and mean nothing without it. Their digest is
in their names: so nobody can write over another's, and the same contents again are the same rows.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from functions.adapters import rows
from functions.adapters.table import PART, attributes, of_distribution
from functions.domain.errors import TableError
from functions.domain.invalidation_json import read_contents, write_contents
from functions.domain.invalidation_record import Contents, Record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT_FOR: Final = timedelta(days=400)
"""For how long the history can be asked for: a year, and some weeks to compare it in."""

PIECE_BYTES: Final = 350_000
_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a record's row tells of the pieces."""

    digest: str
    parts: int


@dataclass(frozen=True, slots=True)
class BatchContents:
    """The pieces of all batches."""

    client: "DynamoDBClient"
    name: str

    def put(self, record: Record, contents: Contents) -> Pointer:
        """Write the contents of a batch and return where they are; raise TableError."""
        compressed = write_contents(contents)
        pieces = [
            compressed[start : start + PIECE_BYTES]
            for start in range(0, len(compressed), PIECE_BYTES)
        ]
        pointer = Pointer(hashlib.sha256(compressed).hexdigest()[:_DIGITS], len(pieces))
        expiry = attributes({"delete_after_s": delete_after_s(record.stored_at)})
        for number, piece in enumerate(pieces):  # one a call: together they are too much for one
            name = f"{_beginning(record, pointer)}{number:03}"
            item = of_distribution(record.distribution, name) | attributes({"piece": piece})
            rows.put_all(self.client, self.name, [item | expiry])
        return pointer

    def get(self, record: Record, pointer: Pointer) -> Contents:
        """Return the contents that are there; raise TableError, also where they are not whole."""
        beginning = _beginning(record, pointer)
        found = rows.of(self.client, self.name, record.distribution, beginning)
        pieces = [bytes(item["piece"]["B"]) for item in found]
        if len(pieces) != pointer.parts:
            raise TableError(
                f"{record.batch_id}: {len(pieces)} of {pointer.parts} pieces are in the table"
            )
        return read_contents(b"".join(pieces))


def delete_after_s(stored_at: datetime) -> int:
    """Return when all that is stored of a batch may go, in epoch seconds."""
    return int((stored_at + KEPT_FOR).timestamp())


def _beginning(record: Record, pointer: Pointer) -> str:
    return f"{PART}{record.batch_id}#{pointer.digest}#"
