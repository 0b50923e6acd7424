"""Which mount holds a path, by /proc/self/mountinfo alone: it asks no permission on the path.

The freezer has a reader of its own: it imports nothing of the agent, nor the agent of it.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount. `device`: "major:minor" of the filesystem's superblock; `root`: what of it is shown.

    `source` is what mount(8) was given: a device's path, or only a name.
    """

    number: int
    device: str
    root: str
    point: str
    kind: str
    source: str


class Mounts:
    """The mounts of this process's namespace, at one moment."""

    def __init__(self, mountinfo: str) -> None:
        self._mounts = [_mount(line) for line in mountinfo.split("\n") if line]

    @classmethod
    def now(cls) -> Self:
        """Read them; elsewhere than on Linux, where nothing can be frozen, there is only one."""
        mountinfo = Path("/proc/self/mountinfo")
        if not mountinfo.exists():
            return cls("1 0 0:0 / / rw - none none rw")
        return cls(os.fsdecode(mountinfo.read_bytes()))  # a path need not be UTF-8

    def holding(self, path: str) -> Mount:
        """Return the mount that holds a path, symbolic links followed as far as permitted."""
        real = os.path.realpath(path)
        holding = [mount for mount in self._mounts if _under(real, mount.point)]
        deepest = max(len(mount.point) for mount in holding)
        # Of several on one point the last hides the others.
        return [mount for mount in holding if len(mount.point) == deepest][-1]

    def holding_descriptor(self, descriptor: int) -> Mount | None:
        """Return the mount of an open file, None for what is on no mount: a pipe, a socket."""
        try:
            lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
        except OSError:  # closed, or no Linux
            return None
        numbers = [int(line.split()[1]) for line in lines if line.startswith("mnt_id:")]
        return next((mount for mount in self._mounts if mount.number in numbers), None)

    def at(self, path: str) -> tuple[Mount, ...]:
        """Return the mounts on this very point, the visible one last; none if it is no point."""
        real = os.path.realpath(path)
        return tuple(mount for mount in self._mounts if mount.point == real)

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
    place, _, origin = line.partition(" - ")
    number, _, device, root, point, *_ = place.split(" ")
    kind, source, *_ = [*origin.split(" "), "", ""]
    return Mount(int(number), device, _plain(root), _plain(point), kind, _plain(source))


def _plain(text: str) -> str:
    r"""Undo the kernel's octal escapes (proc_pid_mountinfo(5)): space, tab, newline, \."""
    for octal in ("040", "011", "012", "134"):
        text = text.replace("\\" + octal, chr(int(octal, 8)))
    return text
