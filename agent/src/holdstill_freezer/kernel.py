"""What the freezer asks of Linux, on descriptors that were opened beforehand."""

import contextlib
import ctypes
import errno
import fcntl
import os
from pathlib import Path

from holdstill_freezer.errors import NotPermittedError

FIFREEZE = 0xC0045877  # linux/fs.h: _IOWR('X', 119, int)
FITHAW = 0xC0045878  # _IOWR('X', 120, int)

_CAP_SYS_ADMIN = 21
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_RCU_EXPEDITED = "/sys/kernel/rcu_expedited"
_RCU_NORMAL = "/sys/kernel/rcu_normal"

_libc = ctypes.CDLL(None, use_errno=True)


def require_privilege() -> None:
    """Raise NotPermittedError without CAP_SYS_ADMIN: better now than under the database's lock."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:") and not int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1:
            raise NotPermittedError("CAP_SYS_ADMIN is missing; run the freezer as root")


def freeze(descriptor: int) -> None:
    """FIFREEZE. OSError EBUSY: somebody else froze it."""
    fcntl.ioctl(descriptor, FIFREEZE, 0)


def thaw(descriptor: int) -> bool:
    """FITHAW; return whether it was frozen until now. OSError: it may still be frozen."""
    while True:
        try:
            fcntl.ioctl(descriptor, FITHAW, 0)
        except InterruptedError:
            continue
        except OSError as error:
            if error.errno == errno.EINVAL:
                return False
            raise
        return True


def syncfs(descriptor: int) -> None:
    """Write the filesystem's dirty pages; only this one's, other than sync(2)."""
    if _libc.syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def lock_memory() -> None:
    """Keep this process in memory, as far as permitted: paging it in could wait for the freeze.

    Neither inherited over fork nor kept over exec, so each process calls it. ONFAULT: what is
    never touched costs nothing.
    """
    _libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)


class RcuExpedited:
    """Short RCU grace periods, for the FIFREEZE alone: 0.6 ms instead of 32 (p50, XFS, 6.18).

    Nothing happens where it is not wanted, not permitted, overruled by rcu_normal=1, or already on
    when this is made (rcupdate.rcu_expedited=1): then it is not ours to switch off. Left on, it
    would let a process that loops on membarrier(2) slow down others, so it is put back at once.
    """

    def __init__(self, *, wanted: bool) -> None:
        self._descriptor = _open_rcu() if wanted else None
        self._on = False

    @property
    def usable(self) -> bool:
        """Whether this process may switch it."""
        return self._descriptor is not None

    def on(self) -> None:
        """Switch it on, unless somebody else uses it just now."""
        if self._descriptor is None:
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        self._on = os.pread(self._descriptor, 1, 0) == b"0"
        if self._on:
            os.pwrite(self._descriptor, b"1", 0)

    def off(self) -> None:
        """Put back what `on` changed."""
        if self._descriptor is None:
            return
        if self._on:
            os.pwrite(self._descriptor, b"0", 0)
            self._on = False
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def put_back(self) -> None:
        """Put back what the freezer, now dead, had switched on: the guard's."""
        if self._descriptor is not None:
            os.pwrite(self._descriptor, b"0", 0)


def end_rcu_expedited() -> None:
    """Put back what a dead freezer had switched on, as its marker says."""
    with contextlib.suppress(OSError):  # it is gone, or read-only here: then it was not switched
        Path(_RCU_EXPEDITED).write_text("0")


def _open_rcu() -> int | None:
    try:
        if _is_on(_RCU_NORMAL) or _is_on(_RCU_EXPEDITED):
            return None
        return os.open(_RCU_EXPEDITED, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None


def _is_on(switch: str) -> bool:
    return Path(switch).read_text().strip() != "0"
