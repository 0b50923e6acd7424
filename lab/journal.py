"""Who holds a lab's folder, and which programs run for it: `<workdir>/state.json`."""

import contextlib
import fcntl
import json
import os
from pathlib import Path
from typing import Any, TextIO

import psutil

from lab import kernel
from lab.children import Child, kill_group
from lab.errors import LabError, LabInUseError

_SAME_START_S = 1.0
"""A process that began within this of the noted time is the noted one (macOS rounds to 10 ms)."""


class Journal:
    """The lab's hold on its folder (flock: ends with the process) and its notes for `down`."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir.absolute()
        self._state: dict[str, Any] = {"processes": []}
        self._lock: TextIO | None = None

    @property
    def path(self) -> Path:
        """The notes: JSON, readable while the lab runs."""
        return self.workdir / "state.json"

    @property
    def taken(self) -> bool:
        """Whether this very journal holds the folder."""
        return self._lock is not None

    def take(self) -> None:
        """Hold the folder. Raise LabInUseError when a running lab does."""
        self.workdir.mkdir(parents=True, exist_ok=True)
        lock = (self.workdir / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise LabInUseError(
                f"Another lab runs in {self.workdir} (process {self.read().get('lab', '?')}). "
                "Stop it with `python -m lab down`, or choose another folder with --workdir."
            ) from None
        self._lock = lock

    def held(self) -> bool:
        """Return whether a running lab holds the folder."""
        try:
            with (self.workdir / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False

    def give_back(self) -> None:
        """Let go of the folder."""
        if self._lock:
            self._lock.close()
            self._lock = None

    def note(self, **facts: Any) -> None:
        """Add facts for `status`, `env` and `down`; replaces the file in one step."""
        self._state = {"lab": os.getpid(), **self._state, **facts}
        fresh = self.path.with_suffix(".tmp")
        fresh.write_text(json.dumps(self._state, indent=2))
        fresh.replace(self.path)

    def note_child(self, child: Child) -> None:
        """Add a program that `down` must end."""
        process = {"name": child.name, "pid": child.pid, "started": child.started}
        self.note(processes=[*self._state["processes"], process])

    def read(self) -> dict[str, Any]:
        """Return the notes of this lab, or of the one before; empty when there are none."""
        try:
            state: dict[str, Any] = json.loads(self.path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return state

    def clean(self) -> None:
        """Undo what a lab left here; raise LabError when something stays.

        Thaw first: a process that waits for a frozen filesystem ignores SIGKILL. And no asking:
        the emulator would take 2 s for a polite end, and none of them has anything to save.
        """
        kernel.thaw_all(self.workdir)
        for noted in self.read().get("processes", []):
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(noted["pid"])
                if abs(process.create_time() - noted["started"]) < _SAME_START_S:
                    kill_group(process.pid)
        left = kernel.release(self.workdir)
        if left:
            raise LabError("Not everything could be cleaned up: " + "; ".join(left))
        self.path.unlink(missing_ok=True)
        self._state = {"processes": []}
