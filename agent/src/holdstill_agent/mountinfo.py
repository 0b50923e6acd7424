"""Which mount holds a path, by /proc/self/mountinfo alone: it asks no permission on the path.

The freezer has a reader of its own: it imports nothing of the agent, nor the agent of it.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount. `device`: "major:minor" of the filesystem's superblock."""

    device: str
    point: str


class Mounts:
    """The mounts of this process's namespace, at one moment."""

    def __init__(self, mountinfo: str) -> None:
        self._mounts = [_mount(line) for line in mountinfo.split("\n") if line]

    @classmethod
    def now(cls) -> Self:
        """Read them; elsewhere than on Linux, where nothing can be frozen, there is only one."""
        mountinfo = Path("/proc/self/mountinfo")
        if not mountinfo.exists():
            return cls("1 0 0:0 / / rw - none")
        return cls(os.fsdecode(mountinfo.read_bytes()))  # a path need not be UTF-8

    def holding(self, path: str) -> Mount:
        """Return the mount that holds a path, symbolic links followed as far as permitted."""
        real = os.path.realpath(path)
        holding = [mount for mount in self._mounts if _under(real, mount.point)]
        deepest = max(len(mount.point) for mount in holding)
        # Of several on one point the last hides the others.
        return [mount for mount in holding if len(mount.point) == deepest][-1]

    def freeze_holds(self, frozen: str, path: str) -> bool:
        """Return whether freezing the mount `frozen` would hold writes to `path`.

        A freeze holds a whole filesystem. Only a stand-in for the freezer, which freezes nothing,
        accepts a folder that is no mount point; it holds what is below.
        """
        mount = self.holding(frozen)
        if mount.point == os.path.realpath(frozen):
            return self.holding(path).device == mount.device
        return _under(os.path.realpath(path), os.path.realpath(frozen))


def _under(path: str, point: str) -> bool:
    return point in ("/", path) or path.startswith(point + "/")


def _mount(line: str) -> Mount:
    _, _, device, _, point, *_ = line.split(" ")
    for octal in ("040", "011", "012", "134"):  # proc_pid_mountinfo(5): space, tab, newline, \
        point = point.replace("\\" + octal, chr(int(octal, 8)))
    return Mount(device, point)
