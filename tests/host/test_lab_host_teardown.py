"""Whatever happens to the lab's host, nothing of it is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pymysql
import pytest

from lab import kernel
from lab.host import DatabaseHost, HostError, disk
from lab.host.mariadb import MariaDb
from lab.host.places import Places

if TYPE_CHECKING:
    from lab.ec2.disks import ImageDisks

pytestmark = pytest.mark.root

REPOSITORY = Path(__file__).parents[2]
RUNS_UNTIL_STOPPED = """
import sys, time
from pathlib import Path
from lab.host import DatabaseHost
print("begun", flush=True)
with DatabaseHost([Path(sys.argv[1])]) as host:
    host.start_load()
    host.start_probes()
    print("ready", flush=True)
    time.sleep(60)
"""


Children = Callable[[], set[psutil.Process]]


@pytest.fixture
def children() -> Children:
    """Return what tells the processes that were started since, by the test."""
    process = psutil.Process(os.getpid())
    before = set(process.children(recursive=True))
    return lambda: set(process.children(recursive=True)) - before


class InTheMiddleError(Exception):
    """Something went wrong while the host was up."""


def test_error_in_the_middle(disks: ImageDisks, children: Children) -> None:
    """After an error in the middle of the work there is no process, mount or directory left."""
    device = Path(disks.attach("vol-error", 1))
    host = DatabaseHost([device])
    with pytest.raises(InTheMiddleError), host:
        raise InTheMiddleError(host.start_load(), len(children()))
    assert not children()
    assert not host.places.run_dir.parent.exists()
    assert not _mounted(device)


def test_frozen_host_comes_down(disks: ImageDisks, children: Children) -> None:
    """A filesystem that somebody left frozen is thawed first: else its writers never end."""
    device = Path(disks.attach("vol-frozen", 1))
    with DatabaseHost([device]) as host:
        host.start_load()
        subprocess.run(["fsfreeze", "--freeze", str(host.places.mounts[0])], check=True)
        time.sleep(0.1)
    assert not children()
    assert not _mounted(device)


@pytest.mark.parametrize("after_s", [0.05, 0.6, 1.5, 3.0])
def test_interrupt_at_any_moment(disks: ImageDisks, after_s: float) -> None:
    """Ctrl-C while the host comes up, or later, leaves no process and no mount."""
    device = Path(disks.attach(f"vol-interrupt-{after_s}", 1))
    lab = _lab(device)
    descendants = _after(lab, after_s)
    lab.send_signal(signal.SIGINT)
    assert lab.wait(30) != 0
    assert not _alive(descendants)
    assert not _mounted(device)


def test_killed_lab_takes_its_server_along(disks: ImageDisks) -> None:
    """After SIGKILL of the lab no server, load or probe goes on; its mount and folder stay."""
    device = Path(disks.attach("vol-killed", 1))
    lab = _lab(device)
    assert lab.stdout
    assert lab.stdout.readline() == b"ready\n"
    descendants = psutil.Process(lab.pid).children(recursive=True)
    assert {"mariadbd", "setpriv"} & {process.name() for process in descendants}
    lab.kill()
    lab.wait()
    _, alive = psutil.wait_procs(descendants, timeout=5)
    assert not alive
    for point in _mounted(device):
        disk.unmount(point)
        shutil.rmtree(point.parent)


def test_failed_start_says_why(tmp_path: Path, children: Children) -> None:
    """A server that cannot start is an error that carries the end of its log, and is gone."""
    places = Places.make(tmp_path, 1)
    server = MariaDb(places.datadir, places.binlogs, places.run_dir)
    with pytest.raises(HostError, match="mysql"):
        server.start()
    server.stop()
    assert not children()


def test_agent_account_may_lock_and_nothing_else(host: DatabaseHost) -> None:
    """The agent's account can lock and read the position; it reads no table."""
    option_file = host.places.run_dir / "agent-mysql.cnf"
    assert option_file.stat().st_mode & 0o777 == 0o600
    with pymysql.connect(read_default_file=str(option_file)) as connection:
        cursor = connection.cursor()
        for statement in ("FLUSH TABLES", "SHOW MASTER STATUS", "SHOW PROCESSLIST"):
            cursor.execute(statement)
        with pytest.raises(pymysql.OperationalError, match="denied"):
            cursor.execute("SELECT 1 FROM load_test.churn")


def _lab(device: Path) -> subprocess.Popen[bytes]:
    lab = subprocess.Popen(
        [sys.executable, "-c", RUNS_UNTIL_STOPPED, str(device)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert lab.stdout
    assert lab.stdout.readline() == b"begun\n"
    return lab


def _after(lab: subprocess.Popen[bytes], after_s: float) -> list[psutil.Process]:
    time.sleep(after_s)
    return psutil.Process(lab.pid).children(recursive=True)


def _alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those that still run; one that only init has yet to reap does not."""
    _, alive = psutil.wait_procs(processes, timeout=1)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def _mounted(device: Path) -> list[Path]:
    backing = Path(f"/sys/block/{device.name}/loop/backing_file").read_text().strip()
    image = Path(backing)
    return [
        point
        for point in kernel.mounts_of(image.parent.parent)
        if point.stat().st_dev == device.stat().st_rdev
    ]
