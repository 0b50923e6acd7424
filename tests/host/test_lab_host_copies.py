"""The lab's proof can fail: a copy taken with a step skipped does not pass the check."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.host import DatabaseHost, Moment, disk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lab.ec2.disks import ImageDisks
    from lab.host import CopyReport

pytestmark = pytest.mark.root

FIFREEZE = 0xC0045877
FTWRL = ("FLUSH TABLES", "FLUSH TABLES WITH READ LOCK")
STAGES = tuple(f"BACKUP STAGE {stage}" for stage in ("START", "FLUSH", "BLOCK_DDL", "BLOCK_COMMIT"))
NO_LOCK: tuple[str, ...] = ()


def test_copy_under_lock_and_freeze_holds(host: DatabaseHost, disks: ImageDisks) -> None:
    """A copy taken while lock and freeze are held passes every check, the position's too."""
    report = _backup(host, disks, lock=FTWRL, freeze=True)
    assert report.holds, str(report)
    assert host.load.running
    assert {"file pair-0", "position", "CHECK TABLE EXTENDED", "churn in one piece"} <= {
        finding.name for finding in report.findings
    }


def test_copy_under_backup_stage_and_freeze_holds(host: DatabaseHost, disks: ImageDisks) -> None:
    """MariaDB's backup stages are as good a lock as FLUSH TABLES WITH READ LOCK."""
    report = _backup(host, disks, lock=STAGES, freeze=True)
    assert report.holds, str(report)


def test_skipped_lock_is_noticed(host: DatabaseHost, disks: ImageDisks) -> None:
    """Without the lock the copy fails, and the tables say so, not only the position."""
    report = _backup(host, disks, lock=NO_LOCK, freeze=True)
    assert "CHECK TABLE EXTENDED" in _failed(report), str(report)


def test_skipped_freeze_is_noticed(host: DatabaseHost, disks: ImageDisks) -> None:
    """Without the freeze the copy fails, although the disk was synced just before the lock."""
    os.sync()
    report = _backup(host, disks, lock=FTWRL, freeze=False)
    assert "file pair-0" in _failed(report), str(report)


def test_foreign_position_is_noticed(host: DatabaseHost, disks: ImageDisks) -> None:
    """A copy that is good but not of the reported position fails on that alone."""
    report = _backup(host, disks, lock=FTWRL, freeze=True, position="binlog.000001:4")
    assert _failed(report) == {"position"}, str(report)


def test_lost_rows_are_noticed(host: DatabaseHost, disks: ImageDisks) -> None:
    """A copy in itself consistent, but older than writes that were acknowledged, fails."""
    with _quiesced(host, FTWRL, freeze=True):
        disks.snapshot("vol-database", "snap-early", 1)
    time.sleep(0.2)
    now_ns = time.monotonic_ns()
    report = host.check([_restored(disks, "early", "early")], Moment(now_ns, now_ns))
    assert "ledger innodb" in _failed(report), str(report)


def test_several_volumes_are_one_copy(disks: ImageDisks) -> None:
    """With tables and binary log on two volumes, a copy of two instants is no copy."""
    names = ("vol-tables", "vol-binlog")
    with DatabaseHost([Path(disks.attach(name, 1)) for name in names]) as host:
        host.start_load()
        with _quiesced(host, FTWRL, freeze=True) as position:
            for name in names:
                disks.snapshot(name, f"snap-{name}", 1)
        held = [_restored(disks, name, "now") for name in names]
        assert host.check(held, position=position).holds
        time.sleep(0.2)
        with _quiesced(host, FTWRL, freeze=True):
            disks.snapshot("vol-tables", "snap-later", 1)
        disks.restore("vol-later", "snap-later", 1)
        torn = [Path(disks.attach("vol-later", 1)), _restored(disks, "vol-binlog", "again")]
        assert "file pair-0" in _failed(host.check(torn))


def test_noise_is_a_bad_copy(host: DatabaseHost, tmp_path: Path) -> None:
    """A bad copy is a result and never an exception, even one that cannot be mounted."""
    noise = tmp_path / "noise.img"
    noise.write_bytes(os.urandom(1 << 20))
    report = host.check([noise])
    assert _failed(report) == {"mount"}


def test_probes_see_the_stall(host: DatabaseHost) -> None:
    """Both probes measure a freeze of 200 ms as a gap of at least that, and short ones without."""
    begun_ns = time.monotonic_ns()
    with _quiesced(host, FTWRL, freeze=True):
        time.sleep(0.2)
    ended_ns = time.monotonic_ns()
    time.sleep(1)
    for name, probe in host.probes.items():
        assert 200 <= probe.gap_ms(begun_ns, ended_ns) < 2000, name
        calm = [
            probe.gap_ms(ended_ns + after_ms * 1_000_000, ended_ns + (after_ms + 50) * 1_000_000)
            for after_ms in range(100, 900, 100)
        ]
        assert min(calm) < 100, name  # the machine may be busy, but not all the time


def _backup(
    host: DatabaseHost,
    disks: ImageDisks,
    *,
    lock: Sequence[str],
    freeze: bool,
    position: str | None = None,
) -> CopyReport:
    """Quiesce, snapshot, restore and check, as the product does, here in a few lines."""
    name = str(time.monotonic_ns())
    with _quiesced(host, lock, freeze=freeze) as reported:
        begun_ns = time.monotonic_ns()
        disks.snapshot("vol-database", f"snap-{name}", 1)
        moment = Moment(begun_ns, time.monotonic_ns())
    device = _restored(disks, name, name)
    try:
        return host.check([device], moment, position or reported)
    finally:
        disks.delete_volume(f"vol-{name}-{name}")


def _restored(disks: ImageDisks, snapshot: str, name: str) -> Path:
    volume = f"vol-{snapshot}-{name}"
    disks.restore(volume, f"snap-{snapshot}", 1)
    return Path(disks.attach(volume, 1))


@contextmanager
def _quiesced(host: DatabaseHost, lock: Sequence[str], *, freeze: bool) -> Iterator[str]:
    """Hold the lock, the freeze or both; yield the position."""
    with ExitStack() as held:
        connection = held.enter_context(host.server.connect())
        cursor = connection.cursor()
        for statement in lock:
            cursor.execute(statement)
        cursor.execute("SHOW MASTER STATUS")
        file, offset, *_ = cursor.fetchall()[0]
        guard = threading.Timer(8, host.thaw)
        held.callback(guard.cancel)
        guard.start()
        for point in host.places.mounts if freeze else ():
            descriptor = os.open(point, os.O_RDONLY)
            held.callback(os.close, descriptor)
            held.callback(disk.thaw, point)
            fcntl.ioctl(descriptor, FIFREEZE, 0)
        yield f"{file}:{offset}"


def _failed(report: CopyReport) -> set[str]:
    return {finding.name for finding in report.findings if not finding.ok}
