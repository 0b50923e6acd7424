"""Tables that are seen on a filesystem that is to be frozen, and lie on another.

MyISAM and Aria put what DATA DIRECTORY asks for behind symbolic links; an administrator links or
mounts a whole schema. The agent may not enter a data directory of mode 0700, and no SQL tells it
without SELECT on every table. The freezer may look, and looks once, before anything is held.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from holdstill_freezer.errors import UnfitMountError
from holdstill_freezer.mounts import Mount, device_of

_LEVELS: Final = 3  # the mount, a data directory on it, a schema, its tables
_WITHIN_S: Final = 2.0  # 150,000 files take 0.4 s
_FEW: Final = 1000  # of a linked folder's files, to know what it is
_NAMED: Final = 10
# Of tables alone: a link to a certificate or a socket elsewhere does no harm.
_TABLES: Final = (".ibd", ".frm", ".myd", ".myi", ".mad", ".mai", ".sdi", "db.opt")


def require_tables_on_mounts(mounts: Sequence[Mount], within_s: float = _WITHIN_S) -> bool:
    """Raise UnfitMountError of tables that lie elsewhere; return whether there was time for all."""
    until = time.monotonic() + within_s
    devices = {mount.device for mount in mounts}
    strays: list[str] = []
    for mount in mounts:
        for path, is_folder in _leading_away(mount.path, Path(mount.path).stat().st_dev, _LEVELS):
            if time.monotonic() >= until:
                return _judge(strays, complete=False)
            if path and _has_tables(path, is_folder) and not _is_held(path, devices):
                strays.append(path)
    return _judge(strays, complete=True)


def _judge(strays: Sequence[str], *, complete: bool) -> bool:
    if strays:
        left = len(strays) - _NAMED
        raise UnfitMountError(
            f"{', '.join(_told(path) for path in strays[:_NAMED])}"
            f"{f' and {left} more' if left > 0 else ''}, on none of [[mounts]]: the snapshot would"
            " be half a database; add that filesystem, or move it onto one of them"
        )
    return complete


def _told(path: str) -> str:
    real = os.path.realpath(path)
    return f"{path} is {'a mount of its own' if real == path else real}"


def _leading_away(folder: str, number: int, levels: int) -> Iterator[tuple[str, bool]]:
    """Yield what may be of another filesystem, and whether it is a folder; "" now and then.

    `number`: the folder's st_dev. What is gone meanwhile, or cannot be seen from here, is left out.
    """
    below = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            with contextlib.suppress(OSError):  # the type is the directory's own, no stat needed
                if entry.is_symlink():
                    yield entry.path, entry.is_dir()
                elif entry.is_dir():
                    mounted = entry.stat().st_dev != number
                    yield (entry.path, True) if mounted else ("", False)
                    below += [] if mounted else [entry.path]
                elif count % _FEW == 0:
                    yield "", False
    for path in below if levels > 1 else ():
        yield from _leading_away(path, number, levels - 1)


def _has_tables(path: str, is_folder: bool) -> bool:
    if not is_folder:
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
