"""This machine's root filesystem with a layer in memory over it: all that is written is forgotten.

What starts by itself on this machine is taken out of the copy: the container shares its kernel,
and a second udev, sysctl or fstab would change the machine itself.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from lab.host.child import run
from lab.host.disk import unmount

if TYPE_CHECKING:
    from pathlib import Path

# What a bare systemd needs to become ready, and to tell us why something failed.
_WANTED = ("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket")
_UNITS = ("etc/systemd/system", "usr/lib/systemd/system", "usr/local/lib/systemd/system")
_GENERATORS = ("etc/systemd/system-generators", "usr/lib/systemd/system-generators")


class Overlay:
    """Mounted below `folder`; `root` is what the container gets for its "/"."""

    def __init__(self, folder: Path) -> None:
        self._memory = folder / "memory"
        self.root = folder / "root"

    def mount(self) -> None:
        """Mount it, and quiet it down."""
        for point in (self._memory, self.root):
            point.mkdir()
        run("mount", "-t", "tmpfs", "-o", "mode=755", "holdstill-lab", str(self._memory))
        upper, work = self._memory / "upper", self._memory / "work"
        for folder in (upper, work):
            folder.mkdir()
        options = f"lowerdir=/,upperdir={upper},workdir={work}"
        run("mount", "-t", "overlay", "-o", options, "holdstill-lab", str(self.root))
        self._quieten()

    def unmount(self) -> None:
        """Take it down; again is harmless."""
        for point in (self.root, self._memory):
            unmount(point)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file into the layer; `path` is absolute, as in the container."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def _quieten(self) -> None:
        for folder in _UNITS:
            for wish in (self.root / folder).glob("*.wants/*"):
                if wish.name not in _WANTED:
                    wish.unlink()
        for folder in _GENERATORS:
            shutil.rmtree(self.root / folder, ignore_errors=True)
        self.write("/etc/fstab", "")
        self.write("/etc/systemd/journald.conf", "[Journal]\nStorage=volatile\n")
