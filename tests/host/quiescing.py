"""A backup in a few lines, as the product does it, so that a step of it can be left out."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.host import DatabaseHost, Moment, disk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lab.ec2.disks import ImageDisks
    from lab.host import CopyReport

FTWRL = ("FLUSH TABLES", "FLUSH TABLES WITH READ LOCK")
STAGES = tuple(f"BACKUP STAGE {stage}" for stage in ("START", "FLUSH", "BLOCK_DDL", "BLOCK_COMMIT"))
NO_LOCK: tuple[str, ...] = ()
VOLUME = "vol-database"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot, and when it was made."""

    name: str
    moment: Moment


def backup(
    host: DatabaseHost,
    disks: ImageDisks,
    *,
    lock: Sequence[str],
    freeze: bool,
    position: str | None = None,
) -> CopyReport:
    """Quiesce, snapshot, restore and check."""
    with quiesced(host, lock, freeze=freeze) as reported:
        taken = snapshot(disks)
    return check(host, disks, taken, position or reported)


def snapshot(disks: ImageDisks) -> Snapshot:
    """Make a snapshot now."""
    begun_ns = time.monotonic_ns()
    name = str(begun_ns)
    disks.snapshot(VOLUME, f"snap-{name}", 1)
    return Snapshot(name, Moment(begun_ns, time.monotonic_ns()))


def check(
    host: DatabaseHost,
    disks: ImageDisks,
    taken: Snapshot,
    position: str,
    gtid: str | None = None,
) -> CopyReport:
    """Restore a snapshot, and check it."""
    name = taken.name
    device = restored(disks, name, name)
    try:
        return host.check([device], taken.moment, position, gtid)
    finally:
        disks.delete_volume(f"vol-{name}-{name}")


def restored(disks: ImageDisks, snapshot: str, name: str) -> Path:
    """Return the device of a new volume that was made from a snapshot."""
    volume = f"vol-{snapshot}-{name}"
    disks.restore(volume, f"snap-{snapshot}", 1)
    return Path(disks.attach(volume, 1))


@contextmanager
def quiesced(host: DatabaseHost, lock: Sequence[str], *, freeze: bool) -> Iterator[str]:
    """Hold the lock, the freeze or both; yield the position."""
    with ExitStack() as held:
        connection = held.enter_context(host.server.connect())
        cursor = connection.cursor()
        for statement in lock:
            cursor.execute(statement)
        cursor.execute(host.server.show_position)
        file, offset, *_ = cursor.fetchall()[0]
        guard = threading.Timer(8, host.thaw)
        held.callback(guard.cancel)
        guard.start()
        for point in host.places.mounts if freeze else ():
            held.callback(disk.thaw, point)
            assert disk.freeze(point)
        yield f"{file}:{offset}"


def failed(report: CopyReport) -> set[str]:
    """Return the names of the checks that did not pass."""
    return {finding.name for finding in report.findings if not finding.ok}
