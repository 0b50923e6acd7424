"""Tables that are seen on a filesystem that is to be frozen, and lie on another.

MyISAM, Aria and ARCHIVE put what DATA DIRECTORY asks for behind symbolic links; an administrator
links or mounts a whole schema. The agent may not enter a data directory of mode 0700, and no SQL
tells it without SELECT on every table. The freezer may look, and looks once, before anything is
held: into the data directories on the mounts, and nowhere else. What the server's own variables
name, as the data directory itself, is the agent's to check.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from holdstill_freezer.errors import UnfitMountError
from holdstill_freezer.mounts import Mount, device_of, mount_points

_LEVELS: Final = 5  # below a mount, to its data directories: /var has one at lib/mysql
_WITHIN_S: Final = 2.0  # 150,000 files take 0.4 s
_FEW: Final = 1000  # of a linked folder's files, to know what it is
_NAMED: Final = 10
# Of tables alone: a link to a certificate or a socket elsewhere does no harm.
_TABLES: Final = (".ibd", ".frm", ".myd", ".myi", ".mad", ".mai", ".arz", ".sdi", "db.opt")


class _OutOfTimeError(Exception):
    """No time is left to look further."""


def require_tables_on_mounts(mounts: Sequence[Mount], within_s: float = _WITHIN_S) -> bool:
    """Raise UnfitMountError of tables that lie elsewhere; return whether there was time for all."""
    until = time.monotonic() + within_s
    points = mount_points()
    strays: list[str] = []
    complete = False
    with contextlib.suppress(_OutOfTimeError):
        strays.extend(_strays(mounts, points, until))  # keeps what came before the time was over
        complete = True
    if strays:
        left = len(strays) - _NAMED
        raise UnfitMountError(
            f"{', '.join(_told(path, points) for path in strays[:_NAMED])}"
            f"{f' and {left} more' if left > 0 else ''}, on none of [[mounts]]: the snapshot would"
            " be half a database; add that filesystem, or move it onto one of them"
        )
    return complete


def _strays(mounts: Sequence[Mount], points: frozenset[str], until: float) -> Iterator[str]:
    devices = {mount.device for mount in mounts}
    for mount in mounts:
        for folder in _data_directories(mount.path, points, until):
            for path in _leading_away(folder, points, until):
                if _has_tables(path) and not _is_held(path, devices):
                    yield path


def _told(path: str, points: frozenset[str]) -> str:
    return f"{path} is {'a mount of its own' if path in points else os.path.realpath(path)}"


def _data_directories(path: str, points: frozenset[str], until: float) -> Iterator[str]:
    """Yield those on a mount, the nearest first: a deep tree beside them may take all the time."""
    folders = [os.path.realpath(path)]
    for _ in range(_LEVELS + 1):
        below: list[str] = []
        for folder in folders:
            if _is_data_directory(folder):
                yield folder
            # Below a data directory too: innodb_data_home_dir may be the folder above.
            below += (
                entry.path
                for entry in _entries(folder, until)
                if entry.is_dir(follow_symlinks=False) and entry.path not in points
            )
        folders = below


def _is_data_directory(folder: str) -> bool:
    """Return whether it looks like a whole server's, also a backup's; a schema does not."""

    def holds(name: str) -> bool:
        return os.path.lexists(f"{folder}/{name}")

    return holds("ibdata1") or (holds("mysql") and (holds("aria_log_control") or holds("auto.cnf")))


def _leading_away(
    folder: str, points: frozenset[str], until: float, levels: int = 2
) -> Iterator[str]:
    """Yield the links and mounts in a data directory and its schemas."""
    for entry in _entries(folder, until):
        # entry.is_dir() raises of a link that leads to itself.
        is_folder = Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()
        if is_folder and _is_data_directory(entry.path):
            continue  # another server's, or a backup's; on these mounts it is looked into by itself
        if entry.is_symlink() or entry.path in points:
            yield entry.path
        elif is_folder and levels > 1:
            yield from _leading_away(entry.path, points, until, levels - 1)


def _entries(folder: str, until: float) -> Iterator[os.DirEntry[str]]:
    """Yield what is in a folder; _OutOfTimeError when it is time.

    What is gone meanwhile, or cannot be seen from here, is left out.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if time.monotonic() >= until:
                raise _OutOfTimeError
            yield entry


def _has_tables(path: str) -> bool:
    if not Path(path).is_dir():
        return path.lower().endswith(_TABLES)
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        names = (entry.name.lower() for entry, _ in zip(entries, range(_FEW), strict=False))
        return any(name.endswith(_TABLES) for name in names)
    return False


def _is_held(path: str, devices: set[str]) -> bool:
    """Return whether it is on one of the devices; a link that leads nowhere is on none."""
    try:
        return device_of(path) in devices
    except UnfitMountError:
        return not os.path.lexists(path)  # dropped since it was listed
