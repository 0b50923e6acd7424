"""What the load was told is written, kept off the volume: the yardstick for a copy."""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

RECORD = struct.Struct("=qq")


class Journal:
    """Appends one record for each acknowledged write: when it was begun and acknowledged."""

    def __init__(self, directory: Path, name: str) -> None:
        self._file = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def acknowledge(self, begun_ns: int) -> None:
        """Record now as the acknowledgement of the write begun then; call n is for write n."""
        os.write(self._file, RECORD.pack(begun_ns, time.monotonic_ns()))


@dataclass(frozen=True, slots=True)
class Moment:
    """When the copy was taken: the snapshot call's begin and end on the machine's clock."""

    begun_ns: int
    ended_ns: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One writer's history: for each write when it was begun and when it was acknowledged."""

    writes: tuple[tuple[int, int], ...]

    @classmethod
    def read(cls, directory: Path, name: str) -> Self:
        """Read a journal, also while it grows; one that does not exist is empty."""
        path = directory / name
        content = path.read_bytes() if path.exists() else b""
        whole = len(content) - len(content) % RECORD.size
        return cls(tuple(RECORD.iter_unpack(content[:whole])))

    def bounds(self, moment: Moment | None) -> tuple[int, int]:
        """Return the least and the most writes that a copy of this moment may hold.

        Acknowledged before the copy began: must be in it. Begun after it ended: must not be.
        """
        if moment is None:
            return 0, len(self.writes) + 1
        least = sum(1 for _, acknowledged in self.writes if acknowledged < moment.begun_ns)
        begun = sum(1 for begun, _ in self.writes if begun <= moment.ended_ns)
        # The last may still be on its way: a write is recorded when it is acknowledged.
        return least, begun + 1 if begun == len(self.writes) else begun
