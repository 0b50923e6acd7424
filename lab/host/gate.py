"""The fallback's stand-in for a freezable filesystem: a lock that every writer passes through."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


class Gate(Protocol):
    """What a writer passes through for each write."""

    def passage(self) -> AbstractContextManager[None]:
        """Hold this while writing."""


class NoGate:
    """For a real filesystem: the kernel itself holds the writers of a frozen one."""

    @contextmanager
    def passage(self) -> Iterator[None]:
        """Pass at once."""
        yield


class FlockGate:
    """Writers share the lock of a file that is not on the volume; a freeze takes it alone."""

    def __init__(self, path: Path) -> None:
        """Open or create the lock's file. Each opening is a holder of its own."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def passage(self) -> Iterator[None]:
        """Wait until nobody freezes, and keep it so while writing."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Wait for the writes on their way, then hold all others."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def open(self) -> None:
        """Let the writers go on."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)


def gate_at(path: Path | None) -> Gate:
    """Return the gate whose lock is this file, or none."""
    return NoGate() if path is None else FlockGate(path)
