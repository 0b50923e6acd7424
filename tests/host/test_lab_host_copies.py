"""The lab's proof can fail: a copy taken with a step skipped does not pass the check."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.host import DatabaseHost, Moment
from tests.host.quiescing import FTWRL, NO_LOCK, STAGES, backup, failed, quiesced, restored

if TYPE_CHECKING:
    from lab.ec2.disks import ImageDisks

pytestmark = pytest.mark.root


def test_copy_under_lock_and_freeze_holds(host: DatabaseHost, disks: ImageDisks) -> None:
    """A copy taken while lock and freeze are held passes every check, the position's too."""
    report = backup(host, disks, lock=FTWRL, freeze=True)
    assert report.holds, str(report)
    assert host.load.running
    assert {"file pair-0", "position", "CHECK TABLE EXTENDED", "churn in one piece"} <= {
        finding.name for finding in report.findings
    }


def test_copy_under_backup_stage_and_freeze_holds(host: DatabaseHost, disks: ImageDisks) -> None:
    """MariaDB's backup stages are as good a lock as FLUSH TABLES WITH READ LOCK."""
    report = backup(host, disks, lock=STAGES, freeze=True)
    assert report.holds, str(report)


def test_skipped_lock_is_noticed(host: DatabaseHost, disks: ImageDisks) -> None:
    """Without the lock the copy fails, and the tables say so, not only the position."""
    report = backup(host, disks, lock=NO_LOCK, freeze=True)
    assert "CHECK TABLE EXTENDED" in failed(report), str(report)


def test_skipped_freeze_is_noticed(host: DatabaseHost, disks: ImageDisks) -> None:
    """Without the freeze the copy fails, although the disk was synced just before the lock."""
    os.sync()
    report = backup(host, disks, lock=FTWRL, freeze=False)
    assert "file pair-0" in failed(report), str(report)


def test_foreign_position_is_noticed(host: DatabaseHost, disks: ImageDisks) -> None:
    """A copy that is good but not of the reported position fails on that alone."""
    report = backup(host, disks, lock=FTWRL, freeze=True, position="binlog.000001:4")
    assert failed(report) == {"position"}, str(report)


def test_lost_rows_are_noticed(host: DatabaseHost, disks: ImageDisks) -> None:
    """A copy in itself consistent, but older than writes that were acknowledged, fails."""
    with quiesced(host, FTWRL, freeze=True):
        disks.snapshot("vol-database", "snap-early", 1)
    time.sleep(0.2)
    now_ns = time.monotonic_ns()
    report = host.check([restored(disks, "early", "early")], Moment(now_ns, now_ns))
    assert "ledger innodb" in failed(report), str(report)


def test_several_volumes_are_one_copy(disks: ImageDisks) -> None:
    """With tables and binary log on two volumes, a copy of two instants is no copy."""
    names = ("vol-tables", "vol-binlog")
    with DatabaseHost([Path(disks.attach(name, 1)) for name in names]) as host:
        host.start_load()
        with quiesced(host, FTWRL, freeze=True) as position:
            for name in names:
                disks.snapshot(name, f"snap-{name}", 1)
        held = [restored(disks, name, "now") for name in names]
        assert host.check(held, position=position).holds
        time.sleep(0.2)
        with quiesced(host, FTWRL, freeze=True):
            disks.snapshot("vol-tables", "snap-later", 1)
        disks.restore("vol-later", "snap-later", 1)
        torn = [Path(disks.attach("vol-later", 1)), restored(disks, "vol-binlog", "again")]
        assert "file pair-0" in failed(host.check(torn))


def test_noise_is_a_bad_copy(host: DatabaseHost, tmp_path: Path) -> None:
    """A bad copy is a result and never an exception, even one that cannot be mounted."""
    noise = tmp_path / "noise.img"
    noise.write_bytes(os.urandom(1 << 20))
    report = host.check([noise])
    assert failed(report) == {"mount"}


def test_probes_see_the_stall(host: DatabaseHost) -> None:
    """Both probes measure a freeze of 200 ms as a gap of at least that, and short ones without."""
    begun_ns = time.monotonic_ns()
    with quiesced(host, FTWRL, freeze=True):
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
