"""Which mount holds a path, by /proc/self/mountinfo alone: it asks no permission on the path.

The freezer has a reader of its own: it imports nothing of the agent, nor the agent of it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from holdstill_agent.errors import CheckFailedError

_AUTOMOUNT = "autofs"


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount. `device`: "major:minor" of the filesystem's superblock; `root`: what of it is shown.

    `parent`: the number of the mount that it is mounted on. `source` is what mount(8) was given: a
    device's path, or only a name. `options` are the superblock's own, of the filesystem's kind.
    """

    number: int
    parent: int
    device: str
    root: str
    point: str
    kind: str
    source: str
    options: tuple[str, ...] = ()


class Mounts:
    """The mounts of this process's namespace, at one moment.

    A mount is seen where the kernel would meet it on the way down from the root: one that a later
    mount over its point, or over a folder above, has hidden is not.
    """

    def __init__(self, mountinfo: str) -> None:
        self._mounts = [_mount(line) for line in mountinfo.split("\n") if line]
        upon = [mount for mount in self._mounts if mount.parent != mount.number]
        self._upon = {(mount.parent, mount.point): mount for mount in upon}
        self._by_number = {mount.number: mount for mount in self._mounts}

    @classmethod
    def now(cls) -> Self:
        """Read them; elsewhere than on Linux, where nothing can be frozen, there is only one."""
        mountinfo = Path("/proc/self/mountinfo")
        if not mountinfo.exists():
            return cls("1 0 0:0 / / rw - none none rw")
        return cls(os.fsdecode(mountinfo.read_bytes()))  # a path need not be UTF-8

    def holding(self, path: str) -> Mount:
        """Return the mount that holds a path, symbolic links followed as far as permitted.

        CheckFailedError where that is the process's root directory and no mount: in a chroot.
        """
        real = os.path.realpath(path)
        met = list(self._met(real))
        if not met:
            raise CheckFailedError(
                f"{real} is on a mount that /proc/self/mountinfo does not show: this process's root"
                " directory is no mount point; start it without chroot, or bind-mount its root"
            )
        return met[-1]

    def at(self, path: str) -> tuple[Mount, ...]:
        """Return the mounts on this very point, the visible one last; none if it is no point.

        An automount point is not counted: what it mounts lies upon it.
        """
        return tuple(mount for mount in self._at(path) if mount.kind != _AUTOMOUNT)

    def awaits_automount(self, path: str) -> bool:
        """Return whether this very point is mounted when somebody looks into it, and is not yet."""
        return bool(self._at(path)) and not self.at(path)

    def hidden_at(self, path: str) -> tuple[Mount, ...]:
        """Return the mounts on this very point that a mount over a folder above has hidden."""
        real = os.path.realpath(path)
        there = (mount for mount in self._mounts if mount.point == real)
        return tuple(mount for mount in there if mount not in self._at(path))

    def freeze_holds(self, frozen: str, path: str) -> bool:
        """Return whether freezing the mount `frozen` would hold writes to `path`.

        A freeze holds a whole filesystem. Only a stand-in for the freezer, which freezes nothing,
        accepts a folder that is no mount point; it holds what is below.
        """
        mount = self.holding(frozen)
        if mount.point == os.path.realpath(frozen):
            return self.holding(path).device == mount.device
        return _under(os.path.realpath(path), os.path.realpath(frozen))

    def _at(self, path: str) -> tuple[Mount, ...]:
        real = os.path.realpath(path)
        return tuple(mount for mount in self._met(real) if mount.point == real)

    def _met(self, real: str) -> Iterator[Mount]:
        """Yield the mounts that a walk from the root down to a path without links goes through."""
        number = self._top()
        if number in self._by_number:
            yield self._by_number[number]
        for point in _way_to(real):
            while mount := self._upon.get((number, point)):
                number = mount.number
                yield mount

    def _top(self) -> int:
        """Return the number of the mount of this process's root directory.

        It is on a mount outside of what this process sees, as no other is; or, in a chroot, not
        shown itself. What is mounted over a root directory is not seen by who has that root.
        """
        for mount in self._mounts:
            if mount.parent not in self._by_number or mount.parent == mount.number:
                return mount.number if mount.point == "/" else mount.parent
        return 0


def _way_to(real: str) -> Iterator[str]:
    """Yield each folder on the way from the root to a path, without the root, and the path."""
    end = 0
    while (end := real.find("/", end + 1)) > 0:
        yield real[:end]
    if real != "/":
        yield real


def _under(path: str, point: str) -> bool:
    return point in ("/", path) or path.startswith(point + "/")


def _mount(line: str) -> Mount:
    place, _, origin = line.partition(" - ")
    number, parent, device, root, point, *_ = place.split(" ")
    kind, source, options, *_ = [*origin.split(" "), "", "", ""]
    return Mount(
        number=int(number),
        parent=int(parent),
        device=device,
        root=_plain(root),
        point=_plain(point),
        kind=kind,
        source=_plain(source),
        options=tuple(_plain(option) for option in options.split(",")),
    )


def _plain(text: str) -> str:
    r"""Undo the octal escapes of proc_pid_mountinfo(5): space, tab, newline, comma, =, \."""
    for octal in ("040", "011", "012", "054", "075", "134"):
        text = text.replace("\\" + octal, chr(int(octal, 8)))
    return text
