"""The write stall seen from outside: a writer at a steady pace, in a process of its own."""

from __future__ import annotations

import argparse
import gc
import mmap
import os
import sys
import tempfile
import time
from array import array
from bisect import bisect_left, bisect_right
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from lab.host.child import leashed, python_module
from lab.host.gate import gate_at
from lab.host.load import DATABASE
from lab.host.server import connect
from lab.interrupts import uninterrupted

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

    from lab.host.child import Child

EVERY_MS = 1
"""A writer's pace: as fine as a stall is measured."""

CAPACITY = 1 << 20  # the last 17 minutes at 1 kHz
SLOT_BYTES = 8
READY_WITHIN_S = 30.0


def gap_ms(samples: Sequence[int], from_ns: int, to_ns: int) -> float:
    """Return the longest gap between completed writes that overlaps the window, in ms.

    A gap that is still open when the samples end counts up to `to_ns`; ValueError without any
    sample before the window, when nothing was measured.
    """
    first = bisect_right(samples, from_ns) - 1
    if first < 0:
        raise ValueError("no write was completed before the window")
    last = bisect_left(samples, to_ns)
    times = list(samples[first : last + 1])
    if times[-1] < to_ns:
        times.append(to_ns)
    gaps = (later - earlier for earlier, later in pairwise(times))
    return max(gaps, default=0) / 1e6


def create_table(connection: Connection[Cursor]) -> None:
    """Create the SQL probe's table: one InnoDB row, whose every update is a commit."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {DATABASE}.probe (id INT PRIMARY KEY, n BIGINT) ENGINE=InnoDB"
        )
        cursor.execute("INSERT INTO load_test.probe VALUES (1, 0)")


class Probe:
    """One writer, `sql` or `file`, and the times of its completed writes."""

    def __init__(self, kind: str, target: Path, log: Path, gate: Path | None = None) -> None:
        """Take a server's socket or a file to write, and the fallback's gate.

        The times are in memory shared with the child: a file, wherever, could itself wait for a
        disk.
        """
        self._options = [f"--{kind}={target}", *([f"--gate={gate}"] if gate else [])]
        self.every_ms = EVERY_MS
        self._log = log
        self._child: Child | None = None

    def start(self) -> None:
        """Start the writer; return at its first write. Raises ChildError."""
        descriptor = _memory()
        try:
            self._ring = _Ring(descriptor)
            options = (*self._options, f"--memory={descriptor}", f"--every-ms={self.every_ms}")
            with uninterrupted():
                self._child = python_module(
                    "lab.host.probe", *options, log=self._log, pass_fds=(descriptor,)
                )
        finally:
            os.close(descriptor)
        self._child.wait_until(lambda: self._ring.count > 0, within_s=READY_WITHIN_S)

    @property
    def running(self) -> bool:
        """Whether the writer lives: one whose server ended has ended too."""
        return self._child is not None and self._child.running

    @property
    def latest_ns(self) -> int:
        """When the latest write was completed: monotonic ns."""
        return self._ring.latest_ns

    def samples(self) -> array[int]:
        """Return the times of the completed writes so far: monotonic ns, ascending."""
        return self._ring.read()

    def gap_ms(self, from_ns: int, to_ns: int) -> float:
        """Return the longest gap that overlaps the window; call it some ms after its end."""
        return gap_ms(self.samples(), from_ns, to_ns)

    def stop(self) -> None:
        """End the writer; its samples stay. Again is harmless."""
        if self._child:
            self._child.stop()


class _Ring:
    """Times in shared memory: a count, then slots that are overwritten in turn."""

    def __init__(self, descriptor: int) -> None:
        self._slots = memoryview(mmap.mmap(descriptor, (CAPACITY + 1) * SLOT_BYTES)).cast("q")

    @property
    def count(self) -> int:
        """How many times were ever recorded."""
        return self._slots[0]

    @property
    def latest_ns(self) -> int:
        """The latest recorded time."""
        return self._slots[1 + (self._slots[0] - 1) % CAPACITY]

    def record(self, at_ns: int) -> None:
        """Record a time; the count after its slot, so that a reader never sees an empty one."""
        count = self._slots[0]
        self._slots[1 + count % CAPACITY] = at_ns
        self._slots[0] = count + 1

    def read(self) -> array[int]:
        """Return the recorded times, oldest first."""
        count = self.count
        if count <= CAPACITY:
            return array("q", self._slots[1 : 1 + count])
        oldest = 1 + count % CAPACITY
        times = array("q", self._slots[oldest:])
        times.extend(self._slots[1:oldest])
        return times


def _memory() -> int:
    if sys.platform == "linux":
        descriptor = os.memfd_create("holdstill-probe")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.truncate(descriptor, (CAPACITY + 1) * SLOT_BYTES)
    return descriptor


def pace(
    write: Callable[[], object], ring: _Ring, released: threading.Event, every_ms: int
) -> None:
    """Write at that pace until released; after a stall go on, without catching up."""
    gc.disable()  # a collection would look like a stall
    due_ns = time.monotonic_ns()
    while not released.is_set():
        write()
        now_ns = time.monotonic_ns()
        ring.record(now_ns)
        due_ns = max(due_ns + every_ms * 1_000_000, now_ns)
        time.sleep((due_ns - now_ns) / 1e9)


def main() -> None:
    """Run one writer in this process."""
    parser = argparse.ArgumentParser(prog="python -m lab.host.probe", description=__doc__)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--sql", type=Path, help="the server's socket")
    target.add_argument("--file", type=Path, help="the file to write, on the volume")
    parser.add_argument("--gate", type=Path)
    parser.add_argument("--memory", type=int, required=True, help="its descriptor")
    parser.add_argument("--every-ms", type=int, default=EVERY_MS)
    given = parser.parse_args()
    released = leashed()
    ring = _Ring(given.memory)
    if given.sql:
        with connect(given.sql, DATABASE) as connection, connection.cursor() as cursor:
            statement = "UPDATE probe SET n = n + 1 WHERE id = 1"
            pace(lambda: cursor.execute(statement), ring, released, given.every_ms)
    else:
        file = os.open(given.file, os.O_WRONLY | os.O_CREAT, 0o600)
        gate = gate_at(given.gate)

        def write() -> None:
            with gate.passage():
                os.pwrite(file, b"probe", 0)

        pace(write, ring, released, given.every_ms)


if __name__ == "__main__":
    main()
