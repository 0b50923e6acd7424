"""Faults of a configuration: each with its key and its line, all reported at once."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from infra.errors import InfraError

_HEADER: Final = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT: Final = re.compile(r"\s*([A-Za-z0-9_.\"' -]+?)\s*=")


KeyPath = tuple[str, ...]
"""A key's names from the top of the file: ("policies", "nightly", "keep")."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and what would be right.

    `path` names the key from the top (empty: the file itself), `line` counts from 1 and is None
    where there is no line to look at.
    """

    path: KeyPath
    sentence: str
    line: int | None = None

    def __str__(self) -> str:
        """Return `line 4: policies.nightly.keep: must …`, as an operator reads it."""
        place = [] if self.line is None else [f"line {self.line}"]
        return ": ".join([*place, *([".".join(self.path)] if self.path else []), self.sentence])


class ConfigurationError(InfraError):
    """The configuration file cannot be used: `faults` has every reason, in the file's order."""

    def __init__(self, source: str, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: fault.line or 0))
        super().__init__("\n".join(f"{source}: {fault}" for fault in self.faults))


def lines_of(text: str) -> dict[KeyPath, int]:
    """Return the line of each table and key of a valid TOML text, as far as one can see it.

    tomllib tells no places. This looks for headers and assignments at the start of a line, which
    is how such files are written; a key in an inline table has no line of its own.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _parts(header[1])
            for end in range(1, len(table) + 1):
                lines.setdefault(table[:end], number)
        elif assignment := _ASSIGNMENT.match(line):
            lines.setdefault((*table, *_parts(assignment[1])), number)
    return lines


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int | None:
    """Return the line of the key, or of the nearest table around it that has one."""
    for end in range(len(path), 0, -1):
        if (line := lines.get(path[:end])) is not None:
            return line
    return None


def _parts(dotted: str) -> KeyPath:
    return tuple(part.strip(" \"'") for part in dotted.split("."))
