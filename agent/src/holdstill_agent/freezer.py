"""The line to the freezer, the privileged process: spawned, or reached through systemd's socket.

No wait here is longer than the caller says: while the database is locked, that is what is left of
the freeze budget.
"""

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config
from holdstill_agent.errors import (
    AlreadyFrozenError,
    CheckFailedError,
    FreezeFailedError,
    FreezerUnavailableError,
)

_READY_WITHIN_MS = 10_000  # spawning takes 0.1 s, and on a starved host ten times that
_GONE_WITHIN_S = 5.0
_ASK_AGAIN_MS = 1000


@dataclass(frozen=True, slots=True)
class ThawReport:
    """What the freezer said of its thaw. `intact`: all was still frozen until then."""

    reason: str
    intact: bool
    held_ms: int


class Freezer:
    """A freezer that is ready. Not one second freeze: the line is for one run."""

    def __init__(self, line: socket.socket, process: subprocess.Popen[bytes] | None) -> None:
        self._line = line
        self._process = process
        self._unread = b""
        self.budget_ms = 0

    @classmethod
    def start(cls, config: Config) -> Self:
        """Connect, and wait until it is ready; FreezerUnavailableError says why it is not."""
        freezer = cls(*_connect(config.freezer_socket) if config.freezer_socket else _spawn(config))
        refusal = freezer._greet()
        if refusal:
            freezer.close()
            raise FreezerUnavailableError(refusal)
        return freezer

    def _greet(self) -> str | None:
        """Take its greeting; return why it will not serve."""
        try:
            greeting = self._answer(monotonic_ms() + _READY_WITHIN_MS)
        except FreezerUnavailableError as error:
            return f"it ended at once: {error}"
        match greeting:
            case ["ready", budget_ms]:
                self.budget_ms = int(budget_ms)
                return None
            case ["refused", code, *detail]:
                return f"refused ({code}): {' '.join(detail)}"
            case other:
                return f"did not become ready: {' '.join(other)}"

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
        """End the line: whatever is still frozen is thawed."""
        self._line.close()

    def reap(self) -> None:
        """Wait until a closed, spawned freezer is gone."""
        if self._process:
            try:
                self._process.wait(_GONE_WITHIN_S)
            except subprocess.TimeoutExpired:  # it hangs in the kernel; its guard thaws
                self._process.kill()

    def _ask(self, request: str) -> None:
        try:
            self._line.sendall(request.encode() + b"\n")
        except OSError as error:
            raise FreezerUnavailableError(f"its line has ended: {error}") from error

    def _answer(self, until_ms: int) -> list[str]:
        """Return the next line's words, none if there is no line in time."""
        while b"\n" not in self._unread:
            self._line.settimeout(max(0.001, (until_ms - monotonic_ms()) / 1000))
            try:
                received = self._line.recv(1024)
            except TimeoutError:
                return []
            except OSError as error:
                raise FreezerUnavailableError(f"its line has ended: {error}") from error
            if not received:
                raise FreezerUnavailableError("its line has ended")
            self._unread += received
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode("ascii", "replace").split(" ")


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
