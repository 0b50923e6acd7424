"""A pair of plain files that only a freeze copies consistently.

Each record is appended to `first`, buffered, and then to `second`, with fsync. Whoever reads both
at one instant finds `first` at the same record or one ahead. A copy of the disk without a freeze
finds `second` ahead: `first` was still in the page cache.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lab.host.gate import Gate

RECORD_BYTES = 16


@dataclass(frozen=True, slots=True)
class PairPaths:
    """Where a pair's two files are: on one filesystem, or on two that are copied together."""

    first: Path
    second: Path
    journal: str

    @classmethod
    def on(cls, roots: Sequence[Path], number: int = 0) -> Self:
        """Place `first` on the last filesystem and `second` on the first.

        Odd pairs lie the other way round: a copy that reads the directories one after the other
        meets `first` before `second` in one of two pairs, and finds `second` ahead there.
        """
        one, other = roots[-1] / "pairs-a", roots[0] / "pairs-b"
        if number % 2:
            one, other = other, one
        name = f"pair-{number}"
        return cls(one / f"{name}-first", other / f"{name}-second", name)

    def records(self) -> tuple[int, int]:
        """Return how many whole records each file holds; ValueError if any is wrong."""
        return _count(self.first), _count(self.second)


class PairWriter:
    """Appends numbered records to both files, in order."""

    def __init__(self, paths: PairPaths, gate: Gate, *, sync: bool) -> None:
        """Create the files, with their directories; `sync` where a disk is copied, not files."""
        for path in (paths.first, paths.second):
            path.parent.mkdir(exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        self._first = os.open(paths.first, flags, 0o600)
        self._second = os.open(paths.second, flags, 0o600)
        self._gate = gate
        self._sync = sync
        self._written = 0

    def write(self) -> None:
        """Write the next record; it is acknowledged when this returns."""
        self._written += 1
        record = _record(self._written)
        with self._gate.passage():
            os.write(self._first, record)
        with self._gate.passage():
            os.write(self._second, record)
            if self._sync:
                os.fsync(self._second)


def _record(number: int) -> bytes:
    return b"%015d\n" % number


def _count(path: Path) -> int:
    content = path.read_bytes()
    count = len(content) // RECORD_BYTES
    for number, record in enumerate(_split(content), 1):
        if record != _record(number):
            raise ValueError(f"{path.name}: record {number} is {record!r}")
    return count


def _split(content: bytes) -> Iterator[bytes]:
    for offset in range(0, len(content), RECORD_BYTES):
        yield content[offset : offset + RECORD_BYTES]
