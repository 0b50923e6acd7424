"""The write load: what a copy must contain for a skipped lock or freeze to be seen.

InnoDB and Aria (which MySQL has not) recover from any copy. What does not:
- no lock: `churn`, a MyISAM table of 2,000 rows with an index, always inside an UPDATE. A copy
  made meanwhile has rows of two generations, and an index that CHECK TABLE finds corrupt;
- no freeze: the file pair, and rows of MyISAM, which are acknowledged out of the page cache.
"""

from __future__ import annotations

import argparse
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lab.host.acknowledged import Acknowledged, Journal
from lab.host.child import Child, leashed, python_module
from lab.host.gate import gate_at
from lab.host.pair import PairPaths, PairWriter
from lab.host.server import connect
from lab.interrupts import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

DATABASE = "load_test"
LEDGERS = {  # written in this order, so none is ahead of the one before it
    "innodb": "INSERT INTO ledger_innodb VALUES (%s, %s)",
    "aria": "INSERT INTO ledger_aria VALUES (%s, %s)",
    "myisam": "INSERT INTO ledger_myisam VALUES (%s, %s)",
}
CHURN = "churn"
CHURN_ROWS = 2000
LEDGER_PAUSE_S = 0.010
PAIR_PAUSE_S = 0.003
GATED_PAIR_PAUSE_S = 0.001
READY_WITHIN_S = 30.0


def create_tables(connection: Connection[Cursor], engines: Sequence[str]) -> None:
    """Create the load's tables in a new server, a ledger for each of its engines.

    Rows of a fixed width, because an UPDATE of 2,000 takes 8 ms then, and 27 with VARCHAR: as
    long as that a lock waits for it.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE}")
        cursor.execute(f"USE {DATABASE}")
        for engine in engines:
            cursor.execute(
                f"CREATE TABLE ledger_{engine} "
                f"(id BIGINT PRIMARY KEY, note CHAR(60), KEY (note)) ENGINE={engine}"
            )
        cursor.execute(
            "CREATE TABLE churn (id INT PRIMARY KEY, generation BIGINT NOT NULL, "
            "shuffled BIGINT NOT NULL, note CHAR(60), KEY (shuffled)) ENGINE=MyISAM"
        )
        rows = [(number, 0, number, "x" * 60) for number in range(1, CHURN_ROWS + 1)]
        cursor.executemany("INSERT INTO churn VALUES (%s, %s, %s, %s)", rows)


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What is written where: without a server the pairs alone, passing the gate."""

    roots: tuple[Path, ...]  # the volumes, in order
    journals: Path  # off the volumes
    socket: Path | None = None
    gate: Path | None = None
    pairs: int = 1
    churn_pause_s: float = 0.0  # between its updates; none: a copy is always inside of one
    engines: tuple[str, ...] = tuple(LEDGERS)

    @property
    def writers(self) -> tuple[str, ...]:
        """The journals' names."""
        pairs = tuple(f"pair-{number}" for number in range(self.pairs))
        return pairs if self.socket is None else (*self.engines, CHURN, *pairs)


class Load:
    """The load as a process of its own: `start`, and `stop` before the server."""

    def __init__(self, plan: LoadPlan, log: Path) -> None:
        self.plan = plan
        self._log = log
        self._child: Child | None = None

    def start(self) -> None:
        """Start writing; return when each writer was acknowledged once. Raises ChildError."""
        self.plan.journals.mkdir()
        plan = self.plan
        options = [f"--root={root}" for root in plan.roots]
        options += [f"--socket={plan.socket}"] if plan.socket else []
        options += [f"--gate={plan.gate}"] if plan.gate else []
        options += [f"--engine={engine}" for engine in plan.engines]
        options += [f"--journals={plan.journals}", f"--pairs={plan.pairs}"]
        options += [f"--churn-pause-s={plan.churn_pause_s}"]
        with uninterrupted():
            self._child = python_module("lab.host.load", *options, log=self._log)
        self._child.wait_until(self._all_writing, within_s=READY_WITHIN_S)

    def acknowledged(self, writer: str) -> int:
        """Return how many writes of one of `plan.writers` are acknowledged so far."""
        return len(Acknowledged.read(self.plan.journals, writer).writes)

    @property
    def running(self) -> bool:
        """Whether it still writes: a load that failed would make every later copy look good."""
        return self._child is not None and self._child.running

    def stop(self) -> None:
        """End the load; a write on its way is finished or killed. Again is harmless."""
        if self._child:
            self._child.stop()

    def _all_writing(self) -> bool:
        return all(self.acknowledged(writer) for writer in self.plan.writers)


class _Writers:
    """The load's side in the child: loops, each in a thread of its own."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._released = leashed()

    def run(self) -> None:
        """Write until released, or until one loop fails: then all end, and so the process."""
        loops = [self._pairs]
        if self._plan.socket is not None:
            loops += [
                partial(self._ledgers, self._plan.socket),
                partial(self._churn, self._plan.socket),
            ]
        threads = [
            threading.Thread(target=self._guarded, args=(loop,), daemon=True) for loop in loops
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _guarded(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        finally:
            self._released.set()

    def _ledgers(self, socket: Path) -> None:
        journals = {engine: Journal(self._plan.journals, engine) for engine in self._plan.engines}
        number = 0
        with connect(socket, DATABASE) as connection, connection.cursor() as cursor:
            while not self._released.wait(LEDGER_PAUSE_S):
                number += 1
                for engine, journal in journals.items():
                    begun_ns = time.monotonic_ns()
                    cursor.execute(LEDGERS[engine], (number, f"n{number % 97}"))
                    journal.acknowledge(begun_ns)

    def _churn(self, socket: Path) -> None:
        journal = Journal(self._plan.journals, CHURN)
        generation = 0
        with connect(socket, DATABASE) as connection, connection.cursor() as cursor:
            while not self._released.wait(self._plan.churn_pause_s):
                generation += 1
                begun_ns = time.monotonic_ns()
                cursor.execute(
                    "UPDATE churn SET generation = %s, "
                    "shuffled = (shuffled * 7919 + id) MOD 1000003",
                    (generation,),
                )
                journal.acknowledge(begun_ns)

    def _pairs(self) -> None:
        gate = gate_at(self._plan.gate)
        gated = self._plan.gate is not None
        places = [PairPaths.on(self._plan.roots, number) for number in range(self._plan.pairs)]
        pairs = [
            (PairWriter(paths, gate, sync=not gated), Journal(self._plan.journals, paths.journal))
            for paths in places
        ]
        while not self._released.wait(GATED_PAIR_PAUSE_S if gated else PAIR_PAUSE_S):
            for writer, journal in pairs:
                begun_ns = time.monotonic_ns()
                writer.write()
                journal.acknowledge(begun_ns)


def main() -> None:
    """Run the load in this process."""
    parser = argparse.ArgumentParser(prog="python -m lab.host.load", description=__doc__)
    parser.add_argument("--root", type=Path, action="append", required=True)
    parser.add_argument("--journals", type=Path, required=True)
    parser.add_argument("--socket", type=Path)
    parser.add_argument("--gate", type=Path)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--churn-pause-s", type=float, default=0.0)
    parser.add_argument("--engine", action="append", default=[])
    given = parser.parse_args()
    plan = LoadPlan(
        tuple(given.root),
        given.journals,
        socket=given.socket,
        gate=given.gate,
        pairs=given.pairs,
        churn_pause_s=given.churn_pause_s,
        engines=tuple(given.engine),
    )
    _Writers(plan).run()


if __name__ == "__main__":
    main()
