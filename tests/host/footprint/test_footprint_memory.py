"""What freezer and guard take of the host's memory, and that none of it comes from a disk again."""

import re
from pathlib import Path

import pytest

from tests.host.freezing import RUN, Line

pytestmark = pytest.mark.root

MIB = 1 << 20


def test_freezer_is_small(line: Line) -> None:
    """Freezer and guard take less than 10 MiB each, 16 together, while frozen."""
    line.ask("sync")
    line.ask(f"freeze {RUN}")
    sizes = [_pss_bytes(pid) for pid in (line.process.pid, line.guard())]
    line.ask("thaw")
    assert max(sizes) < 10 * MIB, sizes
    assert sum(sizes) < 16 * MIB, sizes


def test_freezer_is_held_in_memory(line: Line) -> None:
    """All that freezer and guard have touched is locked: nothing of it is read from a disk again.

    Were it not, memory pressure could make a thaw wait for the disk that it is to thaw.
    """
    line.ask(f"freeze {RUN}")
    pids = (line.process.pid, line.guard())
    before = [_major_faults(pid) for pid in pids]
    unlocked = {pid: _unlocked(pid) for pid in pids}
    assert line.ask("thaw").startswith("thawed commanded 1 ")
    after = [_major_faults(pid) for pid in pids]
    assert unlocked == {pid: [] for pid in pids}
    assert after == before, "no page came from a disk between freeze and thaw"


def _pss_bytes(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss: +(\d+) kB$", rollup, re.MULTILINE)
    assert found, rollup
    return int(found[1]) * 1024


def _major_faults(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[9])


def _unlocked(pid: int) -> list[str]:
    """Return the mappings that hold pages and may lose them; the kernel's own cannot."""
    found = []
    head = ""
    pages = False
    for text in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        key, _, value = text.partition(":")
        if key == "Rss":
            pages = value.split()[0] != "0"
        elif key == "VmFlags":
            if pages and "lo" not in value.split() and not re.search(r"\[v\w+\]$", head):
                found.append(head)
        elif "-" in key.split(" ")[0]:
            head = text
    return found
