"""Files, each written whole or not at all."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from holdstill_install.account import Owner, numbers
from holdstill_install.errors import AccountError
from holdstill_install.layout import Layout


@dataclass(frozen=True, slots=True)
class Example:
    """An example of what the operator writes: only where there is none, and never again."""

    layout: Layout
    path: Path
    content: bytes
    owner: Owner
    mode: int

    def pending(self) -> str | None:
        """Return what is to be done."""
        if os.path.lexists(self.path):
            return None
        return f"create {self.layout.name(self.path)} ({self.owner}, {self.mode:04o}): an example"

    def do(self) -> None:
        """Write it."""
        write(self.layout, self.path, self.content, self.owner, self.mode)


@dataclass(frozen=True, slots=True)
class Absent:
    """A file or a whole directory must not be there."""

    layout: Layout
    path: Path

    def pending(self) -> str | None:
        """Return what is to be done."""
        return f"remove {self.layout.name(self.path)}" if os.path.lexists(self.path) else None

    def do(self) -> None:
        """Remove it; a link, and not what it leads to."""
        remove(self.path)


def remove(path: Path) -> None:
    """Remove a file, a link or a tree; OSError names what could not be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write(layout: Layout, path: Path, content: bytes, owner: Owner, mode: int) -> None:
    """Write beside its place, then rename: a reader finds the old content or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _give(layout, draft, owner, mode)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make a rename in it last: without this a power cut may undo it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give(layout: Layout, path: Path, owner: Owner, mode: int) -> None:
    ids = numbers(layout, owner)
    if ids is None:
        raise AccountError(f"{layout.name(path)} is to belong to {owner}, which does not exist")
    os.chown(path, *ids)
    path.chmod(mode)  # after chown, which clears set-id bits, and after whatever the umask took
