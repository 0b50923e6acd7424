"""Whose freeze it is: a file in run_dir, written before the freeze and emptied after the thaw.

Freezer and guard hold a flock on it, through one shared descriptor. So whoever gets the lock and
finds the file not empty knows that its freezer is dead, and that the freeze, if any, was ours.
"""

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
_RCU_ON, _RCU_OFF = b"rcu 1\n", b"rcu 0\n"  # equally long: one is written over the other


class Marker:
    """The locked file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

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
        """Say that these are about to be frozen for the run, and that RCU may be expedited."""
        lines = [f"run {run}", *(f"mount {mount.device} {mount.path}" for mount in mounts)]
        head = _RCU_ON if rcu else _RCU_OFF
        os.pwrite(self._descriptor, head + "\n".join(lines).encode() + b"\n", 0)

    def rcu_is_back(self) -> None:
        """Say that RCU is as it was."""
        os.pwrite(self._descriptor, _RCU_OFF, 0)

    def clear(self) -> None:
        """Say that nothing is held."""
        os.ftruncate(self._descriptor, 0)

    def recover(self, rcu: kernel.RcuExpedited) -> list[str]:
        """Thaw what a dead freezer left, and nothing else; return the paths that were frozen.

        A mount that is gone, or is another filesystem now, raises UnfitMountError: what was
        frozen there stays so until somebody mounts it again and thaws it.
        """
        lines = os.pread(self._descriptor, _MAX_BYTES, 0).decode().splitlines()
        if lines and lines[0] == _RCU_ON.decode().strip():
            rcu.put_back()
        thawed = []
        for line in reversed(lines):
            kind, _, rest = line.partition(" ")
            if kind == "mount":
                device, _, path = rest.partition(" ")
                if _thaw_again(path, device):
                    thawed.append(path)
        self.clear()
        return thawed


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
