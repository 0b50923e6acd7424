"""The agent on a real MySQL under load: its copies are good; with a step skipped, they are not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import load
from holdstill_agent.hold import Hold
from holdstill_protocol.host_model import PreflightPassed, QuiesceHeld
from lab.host import AgentConfig, DatabaseHost, MySql
from tests.host.freezing import RUN, watchdog
from tests.host.quiescing import FTWRL, NO_LOCK, VOLUME, backup, check, failed, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.ec2.disks import ImageDisks

pytestmark = pytest.mark.root

COPIES = 2
QUEUE = "http://127.0.0.1:1/"


@pytest.fixture(scope="module")
def host(disks: ImageDisks) -> Iterator[DatabaseHost]:
    """Return a real MySQL on a real XFS, under load."""
    with DatabaseHost([Path(disks.attach(VOLUME, 1))], MySql) as host:
        host.start_load()
        yield host


@pytest.fixture
def hold(host: DatabaseHost) -> Iterator[Hold]:
    """Return the agent's hold on the host, as its configuration has it."""
    described = AgentConfig("recipes-db", QUEUE + "commands", QUEUE + "replies", "eu-north-1")
    config = load(host.write_agent_config(described, [["vol-0123456789abcdef0"]]))
    hold = Hold(config)
    with watchdog(*host.places.mounts):
        yield hold
        hold.disconnect()
        hold.tidy()


def test_agent_makes_good_copies(host: DatabaseHost, disks: ImageDisks, hold: Hold) -> None:
    """Every copy that the agent holds still for passes every check, position and GTIDs too."""
    for _ in range(COPIES):
        within_ms = monotonic_ms() + 20_000
        prepared = hold.preflight(RUN, within_ms, lambda _s: True)
        assert isinstance(prepared, PreflightPassed), prepared
        assert all(one.passed for one in prepared.checks), prepared.checks
        held = hold.quiesce(RUN, within_ms)
        assert isinstance(held, QuiesceHeld), held
        taken = snapshot(disks)
        assert hold.release(RUN).intact
        position = held.position
        assert position is not None
        assert (position.engine, position.server_uuid) == ("mysql", position.gtid[:36])
        reported = f"{position.file}:{position.offset}"
        report = check(host, disks, taken, reported, position.gtid)
        assert report.holds, str(report)
        assert {"position", "gtid", "CHECK TABLE EXTENDED", "churn in one piece"} <= {
            finding.name for finding in report.findings
        }
    assert host.load.running


def test_skipped_lock_is_noticed(host: DatabaseHost, disks: ImageDisks) -> None:
    """Without the lock the copy fails, and the tables say so, not only the position."""
    report = backup(host, disks, lock=NO_LOCK, freeze=True)
    assert "CHECK TABLE EXTENDED" in failed(report), str(report)


def test_skipped_freeze_is_noticed(host: DatabaseHost, disks: ImageDisks) -> None:
    """Without the freeze the copy fails, although the disk was synced just before the lock."""
    os.sync()
    report = backup(host, disks, lock=FTWRL, freeze=False)
    assert "file pair-0" in failed(report), str(report)


def test_backup_lock_of_mysql_is_no_lock(host: DatabaseHost, disks: ImageDisks) -> None:
    """LOCK INSTANCE FOR BACKUP lets MyISAM be written: that is why the agent does not offer it."""
    report = backup(host, disks, lock=("LOCK INSTANCE FOR BACKUP",), freeze=True)
    assert failed(report), str(report)
