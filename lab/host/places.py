"""Where things are on a host: tables and binary log on its mounts, all else beside them."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lab.host.errors import MountError
from lab.interrupts import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of one host, or of one copy that is being checked."""

    run_dir: Path
    mounts: tuple[Path, ...]

    @classmethod
    def make(cls, root: Path, volumes: int) -> Self:
        """Create the directories under `root`, which the server's own user can reach."""
        places = cls(root / "run", tuple(root / f"volume-{n}" for n in range(volumes)))
        root.chmod(0o755)
        for directory in (places.run_dir, *places.mounts):
            directory.mkdir(mode=0o755)
        return places

    @property
    def state_dir(self) -> Path:
        """The agent's own."""
        return self.run_dir / "state"

    @property
    def datadir(self) -> Path:
        """The tables: on the first volume."""
        return self.mounts[0] / "mysql"

    @property
    def binlogs(self) -> Path:
        """The binary log: on the last volume."""
        return self.mounts[-1] / "binlog"


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Make a directory for one host or check, and remove it with all that is in it.

    In /tmp whatever TMPDIR says: the server's own user must reach it, and a socket's path may
    have about 100 characters. Raises MountError, and removes nothing, while a volume is mounted.
    """
    with uninterrupted():
        root = Path(tempfile.mkdtemp(prefix=f"holdstill-{name}-", dir="/tmp"))
    try:
        yield root
    finally:
        mounted = [point for point in root.iterdir() if point.is_mount()]
        if mounted:
            raise MountError(f"still mounted: {', '.join(map(str, mounted))}")
        shutil.rmtree(root)
