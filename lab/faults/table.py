"""What the trials showed, one row a fault: the table that `python -m lab faults` prints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.faults.aftermath import Aftermath
    from lab.faults.fault import Fault

_HEAD = ("fault", "tried", "first write ms", "stall ms", "wrong verdicts", "leftovers", "untruths")


@dataclass(frozen=True, slots=True)
class Row:
    """All trials of one fault on one server."""

    fault: Fault
    server: str
    aftermaths: tuple[Aftermath, ...]
    error: str | None = None
    """Why not all could be made."""

    @property
    def name(self) -> str:
        """The fault's, with the server where it is tried on more than one."""
        where = f"@{self.server}" if len(self.fault.servers) > 1 else ""
        return f"{self.fault.name}{where}"

    @property
    def first_write_ms(self) -> float:
        """The worst time from an injection to the first write after it."""
        return max((one.first_write_ms for one in self.aftermaths), default=0.0)

    @property
    def stall_ms(self) -> float:
        """The worst time that a writer had to wait in a trial."""
        return max((one.stall_ms for one in self.aftermaths), default=0.0)

    @property
    def findings(self) -> list[str]:
        """Everything that is not as promised."""
        found = [finding for one in self.aftermaths for finding in one.findings]
        took_ms, goal_ms = self.first_write_ms, self.fault.goal_ms
        if goal_ms is not None and took_ms > goal_ms:
            found.append(f"writes came back after {took_ms} ms; {goal_ms:g} is the goal")
        return [*found, *([self.error] if self.error else [])]

    def counted(self, kind: str) -> int:
        """Return how many trials had findings of a kind (a field of Aftermath)."""
        return sum(bool(getattr(one, kind)) for one in self.aftermaths)

    def cells(self) -> tuple[str, ...]:
        """Return the row's cells, as in the head."""
        return (
            self.name,
            str(len(self.aftermaths)),
            f"{self.first_write_ms:.1f}",
            f"{self.stall_ms:.1f}",
            *(str(self.counted(kind)) for kind in ("wrong_verdicts", "leftovers", "untruths")),
        )

    def document(self) -> dict[str, Any]:
        """Return the row with every trial, for a file."""
        return {
            "name": self.name,
            "group": self.fault.group,
            "law": self.fault.law,
            "tried": len(self.aftermaths),
            "first_write_ms": self.first_write_ms,
            "stall_ms": self.stall_ms,
            "wrong_verdicts": self.counted("wrong_verdicts"),
            "leftovers": self.counted("leftovers"),
            "untruths": self.counted("untruths"),
            "findings": self.findings,
            "trials": [asdict(one) for one in self.aftermaths],
        }


def head(names: Iterable[str]) -> str:
    """Return the table's head, as wide as the longest of the names."""
    return _line(_HEAD, _widths(names))


def line(row: Row, names: Iterable[str]) -> str:
    """Return a row's line; what is not as promised follows it, a line each."""
    return "\n".join((_line(row.cells(), _widths(names)), *(f"    {it}" for it in row.findings)))


def write(rows: Sequence[Row], path: Path, *, seed: int) -> None:
    """Write everything as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"seed": seed, "rows": [row.document() for row in rows]}
    path.write_text(json.dumps(document, indent=1))


def _widths(names: Iterable[str]) -> tuple[int, ...]:
    longest = max((len(name) for name in names), default=0)
    return (max(longest, len(_HEAD[0])), *(len(title) for title in _HEAD[1:]))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = cells
    rest = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
    return "  ".join((f"{first:<{widths[0]}}", *rest))
