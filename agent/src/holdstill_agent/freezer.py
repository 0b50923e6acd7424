"""The line to the freezer, the privileged process: spawned, or reached through systemd's socket.

No wait here is longer than the caller says: while the database is locked, that is what is left of
the freeze budget. `reap` alone waits for a freezer that hangs, and is for when nothing is locked.
"""

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from holdstill_agent.clock import Pause, monotonic_ms
from holdstill_agent.config import Config
from holdstill_agent.errors import (
    AlreadyFrozenError,
    CheckFailedError,
    FreezeFailedError,
    FreezerUnavailableError,
)

_READY_WITHIN_MS = 10_000  # spawning takes 0.1 s, and on a starved host ten times that
_GONE_WITHIN_MS = 5000
_SILENT_FOR_MS = 1000  # an orderly end takes milliseconds
_GUARD_WITHIN_MS = 1250  # its grace of 250 beyond the budget, and a starved host
_ASK_AGAIN_MS = 1000
_LOOK_ROUND_MS = 100


@dataclass(frozen=True, slots=True)
class ThawReport:
    """What the freezer said of its thaw. `intact`: all was still frozen until then."""

    reason: str
    intact: bool
    held_ms: int


class Freezer:
    """A freezer that is ready. Not one second freeze: the line is for one run.

    `devices`: "major:minor" of each filesystem that it freezes, in the order of [[mounts]].
    """

    def __init__(self, line: socket.socket, process: subprocess.Popen[bytes] | None) -> None:
        self._line = line
        self._process = process
        self._unread = b""
        self._thawed_by_ms: int | None = None  # by its guard; None while nothing can be frozen
        self.budget_ms = 0
        self.devices: tuple[str, ...] = ()

    @classmethod
    def start(cls, config: Config) -> Self:
        """Connect, and wait until it is ready; FreezerUnavailableError says why it is not."""
        freezer = cls(*_connect(config.freezer_socket) if config.freezer_socket else _spawn(config))
        refusal = freezer._greet()
        if refusal:
            freezer._line.close()
            raise refusal
        return freezer

    def _greet(self) -> FreezerUnavailableError | None:
        """Take its greeting; return why it will not serve."""
        try:
            greeting = self._answer(monotonic_ms() + _READY_WITHIN_MS)
        except FreezerUnavailableError as error:
            return FreezerUnavailableError(f"it ended at once: {error}")
        match greeting:
            case ["ready", budget_ms, *devices]:
                self.budget_ms, self.devices = int(budget_ms), tuple(devices)
                return None
            case ["refused", "recovered", code, *detail]:
                refusal = f"refused ({code}): {' '.join(detail)}"
                return FreezerUnavailableError(refusal, recovered=True)
            case ["refused", code, *detail]:
                return FreezerUnavailableError(f"refused ({code}): {' '.join(detail)}")
            case other:
                return FreezerUnavailableError(f"did not become ready: {' '.join(other)}")

    def fileno(self) -> int:
        """Return the line's descriptor: readable, while frozen, when the hold is lost."""
        return self._line.fileno()

    def sync(self, until_ms: int, is_wanted: Callable[[], bool] = lambda: True) -> int:
        """Write the filesystems' dirty pages; return how long that took, in milliseconds.

        CheckFailedError at `until_ms`, or a second after `is_wanted` became false.
        """
        self._ask("sync")
        while not (answer := self._answer(min(until_ms, monotonic_ms() + _ASK_AGAIN_MS))):
            if monotonic_ms() >= until_ms:
                raise CheckFailedError("syncfs: it takes too long")
            if not is_wanted():
                raise CheckFailedError("no longer wanted")
        match answer:
            case ["synced", took_us]:
                return int(took_us) // 1000
            case other:
                raise CheckFailedError(f"syncfs: {' '.join(other)}")

    def freeze(self, run_id: str, until_ms: int) -> int:
        """Freeze all mounts; return how long that took, in microseconds."""
        self._thawed_by_ms = monotonic_ms() + self.budget_ms + _GUARD_WITHIN_MS
        self._ask(f"freeze {run_id}")
        match self._answer(until_ms):
            case ["frozen", took_us]:
                return int(took_us)
            case ["failed", "already-frozen", *detail]:
                raise AlreadyFrozenError(" ".join(detail))
            case ["failed", code, *detail]:
                raise FreezeFailedError(f"{code}: {' '.join(detail)}")
            case other:
                raise FreezeFailedError(f"no freeze within the budget: {' '.join(other)}")

    def thaw(self, until_ms: int) -> ThawReport | None:
        """Thaw; return None if it does not say that it did. It has thawed by itself, or will."""
        try:
            self._ask("thaw")
            return self.report(until_ms)
        except FreezerUnavailableError:
            return None

    def report(self, until_ms: int) -> ThawReport | None:
        """Return what it says of a thaw; FreezerUnavailableError when its line has ended."""
        match self._answer(until_ms):
            case ["thawed", reason, intact, held_ms]:
                return ThawReport(reason, intact == "1", int(held_ms))
            case _:
                return None

    def close(self) -> None:
        """End the line: what is still frozen is thawed; `reap` hears of it. Again is harmless."""
        with contextlib.suppress(OSError):  # its other end may be gone
            self._line.shutdown(socket.SHUT_WR)

    def reap(self, pause: Pause = lambda _: True) -> bool:
        """Wait until a closed one is gone; return whether nothing of its can still be frozen.

        One that hangs: until its guard should have thawed, or, where this process started it, for
        5 s; then it is killed, and its guard thaws at once. `pause` is called meanwhile.
        """
        if self._process is None:
            self._await_end(_SILENT_FOR_MS, pause)
        else:
            if not self._await_end(_GONE_WITHIN_MS, pause):
                self._process.kill()
                self._await_end(_SILENT_FOR_MS, pause)
            with contextlib.suppress(subprocess.TimeoutExpired):  # it hangs in the kernel
                self._process.wait(_SILENT_FOR_MS / 1000)
        self._line.close()
        return self._thawed_by_ms is None

    def _await_end(self, patience_ms: int, pause: Pause) -> bool:
        """Hear what is still said, a guard's thaw too; return whether the line has ended."""
        until_ms = monotonic_ms() + patience_ms
        while monotonic_ms() < max(until_ms, (not self._process and self._thawed_by_ms) or 0):
            try:
                self._answer(monotonic_ms() + _LOOK_ROUND_MS)
            except FreezerUnavailableError:
                return True
            pause(0)
        return False

    def _ask(self, request: str) -> None:
        try:
            self._line.sendall(request.encode() + b"\n")
        except OSError as error:
            raise FreezerUnavailableError(f"its line has ended: {error}") from error

    def _answer(self, until_ms: int) -> list[str]:
        """Return the next line's words, none if there is no line in time."""
        while b"\n" not in self._unread:
            try:
                self._line.settimeout(max(0.001, (until_ms - monotonic_ms()) / 1000))
                received = self._line.recv(1024)
            except TimeoutError:
                return []
            except OSError as error:
                raise FreezerUnavailableError(f"its line has ended: {error}") from error
            if not received:
                raise FreezerUnavailableError("its line has ended")
            self._unread += received
        line, _, self._unread = self._unread.partition(b"\n")
        words = line.decode("ascii", "replace").split(" ")
        match words:
            case ["thawed", *_] | ["failed", "already-frozen" | "freeze-failed", *_]:
                self._thawed_by_ms = None
        return words


def recover(config: Config) -> None:
    """Have a freezer thaw what a dead one left, which it does before it says that it is ready.

    FreezerUnavailableError if it could not, or another one still lives.
    """
    freezer = Freezer.start(config)
    freezer.close()
    freezer.reap()


def _connect(path: str) -> tuple[socket.socket, None]:
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(_READY_WITHIN_MS / 1000)
    try:
        line.connect(path)
    except OSError as error:
        line.close()
        raise FreezerUnavailableError(f"{path}: {error}") from error
    return line, None


def _spawn(config: Config) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start it by exec, with no descriptor but its end of the line.

    Forked instead, it would share the database's connection, and keep the lock alive after this
    process's death. A process group of its own: a terminal's Ctrl-C is this process's to handle.
    """
    found = importlib.util.find_spec("holdstill_freezer")
    if found is None or found.origin is None:
        raise FreezerUnavailableError("the package holdstill_freezer is not installed")
    ours, theirs = socket.socketpair()
    argv = [sys.executable, "-I", "-S", str(Path(found.origin).parent)]
    argv += ["--config", str(config.path), "--fd", str(theirs.fileno())]
    try:
        process = subprocess.Popen(  # noqa: S603 - our own module, by its absolute path
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            env={"PATH": os.defpath},
            cwd="/",
            process_group=0,
        )
    except OSError as error:
        ours.close()
        raise FreezerUnavailableError(f"{sys.executable}: {error.strerror}") from error
    finally:
        theirs.close()
    return ours, process
