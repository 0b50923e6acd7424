"""XFS on a block device: made, mounted, frozen, thawed, unmounted. Needs root on Linux."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from typing import TYPE_CHECKING

from lab.host.child import run
from lab.host.errors import MountError, ProgramError
from lab.interrupts import uninterrupted

if TYPE_CHECKING:
    from pathlib import Path

FIFREEZE = 0xC0045877  # linux/fs.h: _IOWR('X', 119, int)
FITHAW = 0xC0045878  # _IOWR('X', 120, int)
BUSY_FOR_S = 10.0


def make_filesystem(device: Path) -> None:
    """Format the device; without discards, which cost seconds and change nothing here.

    Sectors of 4 KiB: a loop device on a reflinked image has no smaller ones, and XFS does not
    mount on a device with larger sectors than its own.
    """
    run("mkfs.xfs", "-q", "-f", "-K", "-s", "size=4096", str(device))


def mount(device: Path, point: Path, *, copy: bool = False) -> None:
    """Mount a device, or an image file through a loop device that goes with the mount.

    A copy has its original's UUID, which XFS refuses a second time without `nouuid`.
    """
    options = ["loop"] if device.is_file() else []
    options += ["nouuid"] if copy else []
    chosen = ("-o", ",".join(options)) if options else ()
    try:
        with uninterrupted():
            run("mount", "-t", "xfs", *chosen, str(device), str(point))
    except ProgramError as error:
        raise MountError(str(error)) from error


def unmount(point: Path) -> None:
    """Thaw and unmount, if mounted; MountError if something still uses it after ten seconds.

    Thaw first: umount of a frozen filesystem succeeds, and its superblock stays frozen for ever.
    """
    give_up_at = time.monotonic() + BUSY_FOR_S
    with uninterrupted():
        while point.is_mount():
            thaw(point)
            try:
                run("umount", str(point))
            except ProgramError as error:
                if time.monotonic() > give_up_at:
                    raise MountError(str(error)) from error
                time.sleep(0.05)


def freeze(point: Path) -> bool:
    """Freeze the filesystem mounted here, as a stranger would; whether it was not frozen before.

    Whoever calls it has a thaw behind it already.
    """
    return _control(point, FIFREEZE, otherwise=errno.EBUSY)


def thaw(point: Path) -> bool:
    """Thaw the filesystem mounted here; whether it was frozen."""
    return point.is_mount() and _control(point, FITHAW, otherwise=errno.EINVAL)


def _control(point: Path, request: int, *, otherwise: int) -> bool:
    """Return False where the kernel's error is `otherwise`: it was in that state already."""
    descriptor = os.open(point, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(descriptor, request, 0)
    except OSError as error:
        if error.errno == otherwise:
            return False
        raise
    finally:
        os.close(descriptor)
    return True
