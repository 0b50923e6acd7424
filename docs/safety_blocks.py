"""What docs/safety.md takes from the code: every fault of the suite, with its law."""

from collections.abc import Callable
from itertools import groupby

from lab.faults.catalogue import faults


def catalogue() -> str:
    """Return a table of all faults, group by group."""
    lines = ["| fault | its law | on |", "|---|---|---|"]
    for group, those in groupby(faults(), key=lambda fault: fault.group):
        lines.append(f"| **{group}** | | |")
        lines += [f"| `{it.name}` | {it.law} | {', '.join(it.servers)} |" for it in those]
    return "\n".join(lines) + "\n"


BLOCKS: dict[str, Callable[[], str]] = {"faults": catalogue}
