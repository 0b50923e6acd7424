"""What this host's agent must still undo, kept over a crash: one small file a deed in state_dir.

Written and synced before the deed, removed after it was undone. So a deed without its file never
happens, and a file without its deed can: to undo must be harmless where nothing was done.
"""

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from holdstill_agent.errors import StateUnwritableError

_UNREADABLE = "unknown"
_MOST_READ = 1 << 20  # MySQL has up to 256 channels, with names of 64 characters


class Undo(StrEnum):
    """What is to be undone at the end of a run, or after a crash at the next start."""

    AFTER_UNLOCK = "after-unlock"
    """The hook `before_lock` was begun: `after_unlock` must run."""

    START_REPLICATION = "start-replication"
    """The replica's SQL thread was stopped: it must be started."""


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing to undo. `note`: what whoever undoes it has to know, one line."""

    what: Undo
    run_id: str
    note: str = ""


class Unfinished:
    """The record in a directory that is there already, and is on no filesystem to be frozen."""

    def __init__(self, state_dir: str) -> None:
        self._directory = state_dir

    def begin(self, run_id: str, what: Undo, note: str = "") -> None:
        """Record a deed before it is done; StateUnwritableError: then it must not be done.

        Complete or absent, whatever the moment of a crash: written beside, then renamed.
        """
        path = self._path(what)
        try:
            _write(f"{path}.new", f"{run_id}\n{note}\n".encode())
            os.rename(f"{path}.new", path)  # noqa: PTH104 - os and descriptors throughout
            self._sync()
        except OSError as error:
            raise StateUnwritableError(
                f"the agent's state cannot be written: {self._directory}: {error.strerror};"
                " make room, or name another state_dir"
            ) from error

    def done(self, what: Undo) -> None:
        """Remove the record of a deed that was undone; again is harmless.

        Where it cannot be removed, the deed is undone once more at the next start.
        """
        with suppress(OSError):
            os.unlink(self._path(what))  # noqa: PTH108
            self._sync()

    def pending(self) -> tuple[Deed, ...]:
        """Return what is still to be undone; unreadable records too, of an unknown run."""
        return tuple(deed for what in Undo if (deed := self._read(what)))

    def _read(self, what: Undo) -> Deed | None:
        try:
            with open(self._path(what), encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                run_id, note, *_ = [*file.read(_MOST_READ).split("\n"), "", ""]
        except FileNotFoundError:
            return None
        except OSError:
            return Deed(what, _UNREADABLE)
        return Deed(what, run_id or _UNREADABLE, note)

    def _path(self, what: Undo) -> str:
        return f"{self._directory}/unfinished-{what}"

    def _sync(self) -> None:
        """Write the directory's own change to the disk."""
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write(path: str, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        if os.write(descriptor, content) < len(content):  # the last block's rest was all there was
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
