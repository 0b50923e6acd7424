"""What the twins were asked to do, in one order; a log and metrics that only remember."""

import logging
from typing import Final

from functions.domain.runs import AttemptRecord, EndedRun

_LOGGINGS_OWN: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
"""Fields that make logging raise KeyError where an adapter hands them over as `extra`."""


class Trace(list[str]):
    """The names of what was done, by whichever twin."""

    def between(self, first: str, last: str) -> list[str]:
        """Return what was done between two names."""
        start = self.index(first)
        return self[start + 1 : self.index(last, start)]


class TwinLog:
    """Remembers events and faults with their fields."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.lines: list[tuple[str, dict[str, object]]] = []

    def event(self, name: str, /, **fields: object) -> None:
        """As in the port; what logging keeps for itself it refuses, whichever level is on."""
        assert not _LOGGINGS_OWN.intersection(fields)
        self._trace.append(f"log {name}")
        self.lines.append((name, fields))

    def fault(self, name: str, /, **fields: object) -> None:
        """As in the port."""
        self.event(name, **fields)

    @property
    def names(self) -> list[str]:
        """The names alone."""
        return [name for name, _ in self.lines]


class TwinMeasures:
    """Remembers what was counted."""

    def __init__(self) -> None:
        self.attempts: list[AttemptRecord] = []
        self.runs: list[EndedRun] = []
        self.abandoned_targets: list[str] = []

    def attempt(self, target: str, record: AttemptRecord) -> None:
        """As in the port."""
        assert record.run_id.startswith(target)
        self.attempts.append(record)

    def run(self, run: EndedRun) -> None:
        """As in the port."""
        self.runs.append(run)

    def abandoned(self, target: str) -> None:
        """As in the port."""
        self.abandoned_targets.append(target)
