"""Start and stop the lab's programs, each in a process group of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab.errors import ChildFailedError

_LEASH = Path(__file__).with_name("leash.py")
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Child:
    """A program on the lab's leash. `pid` is also its process group."""

    name: str
    pid: int
    started: float
    """When the process began, in the system's own clock: tells it from a later user of the pid."""
    log: Path
    popen: subprocess.Popen[bytes]

    def running(self) -> bool:
        """Return whether the program has not ended yet."""
        return self.popen.poll() is None

    def wait_for(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until `ready()`; raise ChildFailedError when it ends or the time is up before."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running():
                raise ChildFailedError(f"{self.name} ended at its start\n{tail(self.log)}")
            if time.monotonic() > deadline:
                raise ChildFailedError(
                    f"{self.name} is not ready: {timeout_s:g} s\n{tail(self.log)}"
                )
            time.sleep(_POLL_S)

    def stop(self, grace_s: float = 3.0) -> None:
        """Ask the group to end; kill what is left of it after `grace_s`, workers included."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(grace_s)
        kill_group(self.pid)
        self.popen.wait()
        if self.popen.stdin:
            self.popen.stdin.close()


def start(
    name: str, command: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path | None = None
) -> Child:
    """Start `command` on a leash: it dies with this process. Output goes to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        popen = subprocess.Popen(
            [sys.executable, "-S", "-E", "-s", str(_LEASH), *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    return Child(name, popen.pid, psutil.Process(popen.pid).create_time(), log, popen)


def kill_group(pgid: int) -> None:
    """Kill a process group at once; harmless when it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pgid, signal.SIGKILL)


def tail(log: Path, lines: int = 30) -> str:
    """Return the last lines of a log, or a sentence when there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return f"({log} does not exist)"
