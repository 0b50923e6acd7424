"""Whose freeze it is: a file in run_dir, written before the freeze and emptied after the thaw.

It names the mounts, and of each whether its FIFREEZE was begun: any other is not ours to thaw.

Freezer and guard hold a flock on it, through one shared descriptor. So whoever gets the lock and
finds the file not empty knows that its freezer is dead, and that the freeze, if any, was ours.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterable
from typing import Self

from holdstill_freezer import kernel
from holdstill_freezer.errors import BusyError, UnfitMountError
from holdstill_freezer.mounts import Mount, device_of
from holdstill_freezer.settings import require_only_ours

_NAME = "freeze"
_WAIT_S = 2.0  # a freezer whose line has ended is gone within milliseconds, its guard too
_MAX_BYTES = 65_536
# Equally long: one is written over the other, which needs no space on the disk.
_RCU_ON, _RCU_OFF = b"rcu 1\n", b"rcu 0\n"
_MOUNT = b"mount "
_BEGUN, _NOT_BEGUN = b"1", b"0"


class Marker:
    """The locked file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._places: tuple[int, ...] = ()

    @classmethod
    def acquire(cls, run_dir: str) -> Self:
        """Open and lock it, making run_dir if need be; BusyError while another freezer lives."""
        os.makedirs(run_dir, mode=0o755, exist_ok=True)  # noqa: PTH103 - pathlib costs more here
        require_only_ours(os.stat(run_dir), run_dir)  # noqa: PTH116 - likewise
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(f"{run_dir}/{_NAME}", flags, 0o600)
        give_up_at = time.monotonic() + _WAIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= give_up_at:
                    os.close(descriptor)
                    raise BusyError(f"another freezer lives with run_dir {run_dir}") from None
                time.sleep(0.01)
            else:
                return cls(descriptor)

    def write(self, run: str, mounts: Iterable[Mount], *, rcu: bool) -> None:
        """Name what is to be frozen for the run, none begun; RCU may be expedited from now on.

        OSError where there is no room for it.
        """
        text = (_RCU_ON if rcu else _RCU_OFF) + f"run {run}\n".encode()
        places = []
        for mount in mounts:
            text += _MOUNT
            places.append(len(text))
            text += _NOT_BEGUN + f" {mount.device} {mount.path}\n".encode()
        self._places = tuple(places)
        if os.pwrite(self._descriptor, text, 0) < len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def begin(self, index: int) -> None:
        """Say that the FIFREEZE of this mount begins."""
        os.pwrite(self._descriptor, _BEGUN, self._places[index])

    def refused(self, index: int) -> None:
        """Say that this mount is not held, not by us at least."""
        os.pwrite(self._descriptor, _NOT_BEGUN, self._places[index])

    def rcu_is_back(self) -> None:
        """Say that RCU is as it was."""
        os.pwrite(self._descriptor, _RCU_OFF, 0)

    def clear(self) -> None:
        """Say that nothing is held."""
        os.ftruncate(self._descriptor, 0)

    def recover(self) -> list[str]:
        """Thaw what a dead freezer left, and nothing else; return the paths that were frozen.

        Each is tried; then the first that failed raises. UnfitMountError of a mount that is gone,
        or is another filesystem now: what was frozen there stays so until somebody mounts it again
        and thaws it. OSError of one that the kernel does not thaw. Only such are left in the file,
        for the next to try: a freeze that comes later elsewhere is not ours.
        """
        text = os.pread(self._descriptor, _MAX_BYTES, 0)
        if text.startswith(_RCU_ON):
            kernel.end_rcu_expedited()
            self.rcu_is_back()
        thawed, failed = [], []
        for place, device, path in reversed(_begun(text)):
            try:
                thawed += [path] if _thaw_again(path, device) else []
                os.pwrite(self._descriptor, _NOT_BEGUN, place)
            except (UnfitMountError, OSError) as error:
                failed.append(error)
        if failed:
            raise failed[0]
        self.clear()
        return thawed


def _begun(text: bytes) -> list[tuple[int, str, str]]:
    """Return of each mount whose FIFREEZE was begun where that is said, its device and its path."""
    found, place = [], 0
    for line in text.split(b"\n"):
        if line.startswith(_MOUNT + _BEGUN + b" "):
            _, _, device, path = line.decode().split(" ", 3)
            found.append((place + len(_MOUNT), device, path))
        place += len(line) + 1
    return found


def _thaw_again(path: str, device: str) -> bool:
    if device_of(path) != device:
        raise UnfitMountError(
            f"{path} is no longer device {device}, which a dead freezer may have left frozen:"
            " mount that one, thaw it with fsfreeze --unfreeze, then delete the marker in run_dir"
        )
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return kernel.thaw(descriptor)
    finally:
        os.close(descriptor)
