"""Processes of the host: each in a session of its own, ended by its pid, always reaped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab.host.errors import ChildError, ProgramError
from lab.interrupts import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

REPOSITORY = Path(__file__).resolve().parents[2]
LOG_TAIL_LINES = 20
FAMILY_WITHIN_S = 1.0
KILLED_WITHIN_S = 10.0


class Child:
    """A process in a session of its own, so that a terminal's Ctrl-C reaches only the lab.

    Its standard input is a leash: the write end is held by the lab alone, and closes with it.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start `argv`, both its outputs appended to `log`."""
        self.log = log
        self._name = Path(argv[0]).name
        self._stopped = False
        with uninterrupted(), log.open("ab") as output:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                pass_fds=tuple(pass_fds),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], *, within_s: float) -> None:
        """Return once `ready`; ChildError with the log's tail if it ends or takes too long."""
        give_up_at = time.monotonic() + within_s
        while not ready():
            if not self.running:
                code = self._process.returncode
                raise ChildError(f"{self._name} ended with {code}:\n{tail(self.log)}")
            if time.monotonic() > give_up_at:
                raise ChildError(f"{self._name} not ready in {within_s} s:\n{tail(self.log)}")
            time.sleep(0.01)

    def stop(self, *, grace_s: float = 5.0, polite: signal.Signals = signal.SIGTERM) -> None:
        """Let go of the leash, signal politely, then kill what is left of its group.

        Raises ChildError for a process that SIGKILL does not end: it hangs in the kernel, as on a
        filesystem that is still frozen.
        """
        if self._stopped:  # its id may be another's by now
            return
        with uninterrupted():
            if self._process.stdin:
                self._process.stdin.close()
            if self.running:
                self._process.send_signal(polite)
            self._wait(grace_s)
            # What it started itself (the agent's freezer) ends with its line: leave it the time
            # to thaw, a SIGKILL at once would leave the filesystem frozen.
            ends_at = time.monotonic() + FAMILY_WITHIN_S
            while self._signal_group(0) and time.monotonic() < ends_at:
                time.sleep(0.005)
            self._signal_group(signal.SIGKILL)
            if not self._wait(KILLED_WITHIN_S):
                raise ChildError(f"{self._name} (pid {self.pid}) survived SIGKILL")
            self._stopped = True

    def kill(self) -> None:
        """Kill the process at once, as the out-of-memory killer would, and reap it."""
        self._process.kill()
        self._process.wait()

    def _wait(self, timeout_s: float) -> bool:
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _signal_group(self, number: int) -> bool:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            return False
        return True


def python_module(module: str, *arguments: str, log: Path, pass_fds: Sequence[int] = ()) -> Child:
    """Start a module of the lab in a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    argv = [sys.executable, "-m", module, *arguments]
    return Child(argv, log=log, env=env, pass_fds=pass_fds)


def dying_with_parent(argv: Sequence[str], number: str = "TERM") -> list[str]:
    """Return `argv` so that the kernel signals it when the lab dies; as it is where it cannot.

    The signal comes when the THREAD ends that starts it: start it from one that lives as long as
    the lab.
    """
    if sys.platform != "linux":
        return list(argv)
    return ["setpriv", f"--pdeathsig={number}", *argv]


def hurried(argv: Sequence[str]) -> list[str]:
    """Return `argv` with the niceness that the agent's unit gives it, where that is permitted."""
    return ["nice", "-n", "-10", *argv] if os.geteuid() == 0 else list(argv)


def leashed() -> threading.Event:
    """In a child: an event that is set when the lab lets go of it, or dies.

    Half a second later the process ends whatever it does.
    """
    released = threading.Event()

    def watch() -> None:
        # os.read, not sys.stdin: its buffer's lock would be held by this thread at exit.
        while os.read(0, 1):
            pass
        released.set()
        time.sleep(0.5)
        os._exit(0)

    signal.signal(signal.SIGTERM, lambda _number, _frame: released.set())
    threading.Thread(target=watch, daemon=True).start()
    return released


def run(*argv: str, timeout_s: float = 60.0) -> str:
    """Run a program to its end and return its output; ProgramError with its words if it fails.

    It has a session of its own: a terminal's Ctrl-C must not end an umount. Interrupted, it is
    killed with all that it started.
    """
    try:
        program = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramError(f"{argv[0]}: {error}") from error
    with program:
        try:
            output, errors = program.communicate(timeout=timeout_s)
        except BaseException as error:
            os.killpg(program.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ProgramError(f"{argv[0]}: not done in {timeout_s} s") from error
            raise
    if program.returncode != 0:
        said = (errors or output).strip()
        raise ProgramError(f"{' '.join(argv)}: exit {program.returncode}: {said}")
    return output


def tail(log: Path) -> str:
    """Return the last lines of a log."""
    if not log.exists():
        return f"(no {log})"
    return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
