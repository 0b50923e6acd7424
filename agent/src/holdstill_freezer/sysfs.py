"""What else a filesystem is on: a journal of its own device, an image within another filesystem."""

import os
from collections.abc import Iterator
from pathlib import Path

_SYSFS = Path("/sys")
_JOURNALS = Path("/proc/fs/jbd2")


def has_journal_elsewhere(device: str, sysfs: Path = _SYSFS, journals: Path = _JOURNALS) -> bool:
    """Return whether an ext4 has its journal on another device.

    The kernel (jbd2) names a journal within its filesystem DEVICE-INODE, and another by its device
    alone; of what is mounted it says nothing more. So an ext4 without any journal, beside one whose
    journal is elsewhere, is told to have it there too.
    """
    names = [journal.name for journal in _within(journals)]
    own = (sysfs / "dev/block" / device).resolve().name
    if any(name.startswith(f"{own}-") for name in names):
        return False
    return any((sysfs / "class/block" / name).exists() for name in names)


def images_below(device: str, sysfs: Path = _SYSFS) -> Iterator[str]:
    """Yield the paths of the loop images that a filesystem's device leads down to.

    None of btrfs's, which has no device of its own.
    """
    yield from _images((sysfs / "dev/block" / device).resolve())


def _images(folder: Path) -> Iterator[str]:
    if (folder / "partition").exists():
        folder = folder.parent
    try:
        yield os.fsdecode((folder / "loop/backing_file").read_bytes()).removesuffix("\n")
    except OSError:  # it is no loop device, or has no image
        for slave in _within(folder / "slaves"):
            yield from _images(slave.resolve())


def _within(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
