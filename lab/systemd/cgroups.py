"""A control group of the container's own, in every hierarchy that this machine has.

nspawn makes its groups inside the one in which it is started, always by the same names: two at
once would share them. And what is in this one is what must be gone at the end.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_WEIGHTS = {"cpu.shares": "20480", "cpu.weight": "2000"}  # twenty times a process's
_GONE_WITHIN_S = 5.0


class ControlGroup:
    """`name` below the group of this process, in each hierarchy that can be written."""

    def __init__(self, name: str) -> None:
        self._folders = [parent / name for parent in _own_groups()]

    def make(self) -> None:
        """Make it; it counts as a machine, not as one more process of this one."""
        for folder in self._folders:
            folder.mkdir()
            for weight, value in _WEIGHTS.items():
                if (folder / weight).exists():
                    (folder / weight).write_text(value)

    def enter(self) -> list[str]:
        """Return the beginning of a command line that runs the rest of it in this group.

        Not in every hierarchy: an empty cpuset takes nobody.
        """
        enter = "".join(
            f"(echo $$ >{folder}/cgroup.procs) 2>/dev/null; " for folder in self._folders
        )
        return ["sh", "-c", f'{enter}exec "$@"', "enter"]

    def pids(self, unit: str = "*") -> list[int]:
        """Return the processes in it, or in one of its units, as this machine's ids, ascending.

        `unit` may be a pattern.
        """
        found: set[int] = set()
        for group in self._groups(unit):
            found.update(map(int, _read(group / "cgroup.procs").split()))
        return sorted(found)

    def folder(self, controller: str, unit: str) -> Path:
        """Return a unit's folder in a controller's hierarchy; StopIteration where it has none."""
        hierarchy = _ROOT / controller if (_ROOT / controller).is_dir() else _ROOT
        return next(group for group in self._groups(unit) if group.is_relative_to(hierarchy))

    def _groups(self, unit: str) -> Iterator[Path]:
        """Walk, rather than glob: units end meanwhile."""
        for folder in self._folders:
            for root, _, _ in os.walk(folder):
                if fnmatch(Path(root).name, unit):
                    yield Path(root)

    @contextmanager
    def hanging(self, pid: int) -> Iterator[None]:
        """Let a process hang as in the kernel: no signal reaches it, SIGKILL neither.

        Only the first cgroup version's freezer does that.
        """
        (folder,) = (path for path in self._folders if path.is_relative_to(_ROOT / "freezer"))
        group = folder / "hanging"
        group.mkdir()
        try:
            (group / "cgroup.procs").write_text(str(pid))
            (group / "freezer.state").write_text("FROZEN")
            yield
        finally:
            (group / "freezer.state").write_text("THAWED")

    def remove(self) -> None:
        """End whatever is still in it, and remove it; again is harmless."""
        give_up_at = time.monotonic() + _GONE_WITHIN_S
        while (pids := self.pids()) and time.monotonic() < give_up_at:
            for pid in pids:
                _kill(pid)
            time.sleep(0.01)
        for folder in self._folders:
            for root, _, _ in os.walk(folder, topdown=False):
                _remove(Path(root), give_up_at)


def _own_groups() -> list[Path]:
    groups: dict[Path, None] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        hierarchy = _ROOT / controllers.removeprefix("name=")
        if not controllers and (_ROOT / "unified").is_dir():
            hierarchy = _ROOT / "unified"
        folder = hierarchy / path.lstrip("/")
        if folder.is_dir() and os.access(folder, os.W_OK):
            groups[folder.resolve()] = None
    return list(groups)


def _read(procs: Path) -> str:
    try:
        return procs.read_text()
    except OSError:  # the unit has just ended
        return ""


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _remove(folder: Path, give_up_at: float) -> None:
    """Remove a group; a process that has just been killed is in it for a moment more."""
    while folder.exists():
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)
