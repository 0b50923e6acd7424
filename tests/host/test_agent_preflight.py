"""The pre-flight on a real MariaDB and a real XFS: each thing that is wrong is refused by name."""

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config, MountConfig, load
from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError
from holdstill_agent.hold import Hold
from holdstill_agent.mountinfo import Mounts
from holdstill_agent.preflight import Preflight
from holdstill_agent.preflight.place import require_this_host
from holdstill_agent.volumes import find_volumes
from holdstill_protocol.host_model import PreflightPassed
from holdstill_protocol.messages import Lock, RefusalCode
from lab.host import AgentConfig, DatabaseHost
from lab.host.disk import freeze
from lab.host.mariadb import MariaDb
from tests.host.conftest import VOLUME
from tests.host.folders import server_folder
from tests.host.freezing import RUN, filesystem, is_frozen, loop_device, watchdog

pytestmark = pytest.mark.root

SOURCES = Path(__file__).parents[2] / "agent" / "src"


@pytest.fixture
def point(quiet_host: DatabaseHost) -> Path:
    """Return its mount."""
    return quiet_host.places.mounts[0]


@pytest.fixture
def config(quiet_host: DatabaseHost) -> Config:
    """Return a configuration that is sound."""
    urls = ("https://sqs/commands", "https://sqs/replies")
    asked = AgentConfig("recipes-db", *urls, "eu-west-1", quiet_patience_s=2)
    return load(quiet_host.write_agent_config(asked, [[VOLUME]]), {})


def _look(config: Config, run_id: str | None = None) -> Preflight:
    """Make the checks, and let go of what they connected."""
    preflight = Preflight(config, monotonic_ms() + 20_000, _wait, run_id)
    try:
        preflight.run()
    finally:
        preflight.close()
        if preflight.freezer:
            preflight.freezer.reap()
    return preflight


def _wait(pause_s: float) -> bool:
    time.sleep(pause_s)
    return True


def _refusal(config: Config, name: str, run_id: str | None = None) -> str:
    """Return what the one check that fails says."""
    preflight = _look(config, run_id)
    failed = {one.name: one.detail for one in preflight.checks if not one.passed}
    assert list(failed) == [name], preflight.checks
    assert preflight.code
    return failed[name]


@contextmanager
def _global(host: DatabaseHost, **variables: str) -> Iterator[None]:
    """Set global variables for a while."""
    with host.server.connect() as admin, admin.cursor() as cursor:
        before: dict[str, Any] = {}
        for name in variables:
            cursor.execute(f"SELECT @@GLOBAL.{name}")
            (before[name],) = cursor.fetchone() or (None,)
        try:
            for name, value in variables.items():
                cursor.execute(f"SET GLOBAL {name} = %s", (value,))
            yield
        finally:
            for name, value in before.items():
                cursor.execute(f"SET GLOBAL {name} = %s", (value,))


def test_sound_host_passes_every_check(config: Config, point: Path) -> None:
    """Each check is told with what it found; without a run nothing is frozen, not for a moment."""
    with watchdog(point):
        preflight = _look(config)
    found = {one.name: one.detail for one in preflight.checks}
    assert preflight.code is None, preflight.failures()
    assert set(found) >= {
        *("mounts", "volumes", "state", "own files", "freezer", "database", "privileges"),
        *("session", "database's files", "general log", "quiet", "not frozen"),
    }
    assert preflight.volumes == (VOLUME,)
    assert "a freeze was tried" not in found["not frozen"]


def test_quiet_filesystem_is_rehearsed_and_left_thawed(config: Config, point: Path) -> None:
    """Where nobody writes only a freeze tells; the freezer that is left is ready for the run."""
    with watchdog(point):
        for _ in range(20):  # a server that has just started writes for a while, and so does XFS
            hold = Hold(config)
            passed = hold.preflight(RUN, monotonic_ms() + 20_000, _wait)
            assert isinstance(passed, PreflightPassed), passed
            assert not is_frozen(point)
            checks = {one.name: one.detail for one in passed.checks}
            hold.disconnect()
            hold.tidy()
            if "a freeze was tried" in checks["not frozen"]:
                break
    assert "a freeze was tried" in checks["not frozen"]
    assert (Path(config.run_dir) / "freeze").read_bytes() == b"", "no marker is left"


def test_written_filesystem_is_not_rehearsed(config: Config, point: Path) -> None:
    """A write that comes through proves that nothing is frozen: no writer is held for that."""
    done = threading.Event()

    def write() -> None:
        with (point / "written").open("wb", buffering=0) as file:
            while not done.wait(0.005):
                file.write(b"x")
                subprocess.run(["sync", "-d", point / "written"], check=True)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with watchdog(point):
            preflight = _look(config, RUN)
    finally:
        done.set()
        writer.join(5)
    found = {one.name: one.detail for one in preflight.checks}
    assert found["not frozen"] == "something was written just now"


def test_strangers_freeze_is_refused_and_left_alone(config: Config, point: Path) -> None:
    """Found before the lock, which would wait for it; and it is not ours to thaw."""
    with watchdog(point):
        freeze(point)
        began = time.monotonic()
        preflight = _look(config, RUN)
        took_s = time.monotonic() - began
        assert is_frozen(point)
    assert preflight.code is RefusalCode.ALREADY_FROZEN, preflight.checks
    assert f"not frozen: {point} was frozen by somebody else" in preflight.failures()
    assert "database" not in {one.name for one in preflight.checks}, "it could hang"
    assert took_s < 5


@pytest.mark.parametrize("kind", ["ext4", "btrfs"])
def test_strangers_freeze_is_found_on_other_filesystems(
    config: Config, tmp_path: Path, kind: str
) -> None:
    """Their syncfs writes nothing either while they are frozen."""
    image, mount = tmp_path / "image", tmp_path / "mount"
    mount.mkdir()
    with image.open("xb") as file:
        file.truncate(192 << 20)
    subprocess.run([f"mkfs.{kind}", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mount], check=True)
    try:
        path = _with_mount(config, mount)
        alone = replace(
            config, lock=Lock.NONE, mounts=(MountConfig(str(mount), (VOLUME,)),), path=path
        )
        with watchdog(mount):
            assert _look(alone, RUN).code is None
            (mount / "dirty").write_bytes(bytes(1 << 20))
            freeze(mount)
            assert _look(alone, RUN).code is RefusalCode.ALREADY_FROZEN
    finally:
        subprocess.run(["umount", mount], check=True)


def _with_mount(config: Config, mount: Path) -> Path:
    """Write the configuration anew for the freezer, with this mount only; return its path."""
    path = config.path.with_name("other.toml")
    path.touch(mode=0o600)
    path.write_text(config.path.read_text().replace(f'"{config.mounts[0].path}"', f'"{mount}"'))
    return path


@pytest.mark.parametrize("output", ["FILE", "TABLE"])
def test_general_log_on_the_mount_is_refused(
    quiet_host: DatabaseHost, config: Config, output: str
) -> None:
    """As a file or as a table: both are written before each statement."""
    with _global(quiet_host, log_output=output, general_log="ON"):
        assert "SET GLOBAL general_log = OFF" in _refusal(config, "general log")


@pytest.mark.parametrize("elsewhere", ["off", "elsewhere"])
def test_general_log_elsewhere_passes(
    quiet_host: DatabaseHost, config: Config, elsewhere: str
) -> None:
    """A general log that is not frozen holds nobody."""
    file = str(quiet_host.places.run_dir / "general.log")
    on = "OFF" if elsewhere == "off" else "ON"
    with _global(quiet_host, log_output="FILE", general_log_file=file, general_log=on):
        assert _look(config).code is None


@pytest.mark.parametrize("missing", ["RELOAD", "BINLOG MONITOR"])
def test_missing_privilege_is_named_with_the_grant_to_give(
    quiet_host: DatabaseHost, config: Config, tmp_path: Path, missing: str
) -> None:
    """The statement in the refusal is all that was missing."""
    option_file = tmp_path / "poor.cnf"
    account = f"[client]\nuser=poor\npassword=secret\nsocket={quiet_host.server.socket}\n"
    option_file.write_text(account)
    poor = replace(config, option_file=str(option_file))
    with quiet_host.server.connect() as admin, admin.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE USER poor@localhost IDENTIFIED BY 'secret'")
        (other,) = {"RELOAD", "BINLOG MONITOR"} - {missing}
        cursor.execute(f"GRANT {other}, PROCESS, SLAVE MONITOR ON *.* TO poor@localhost")
        detail = _refusal(poor, "privileges")
        assert "'poor'@'localhost' may not" in detail
        cursor.execute(detail[detail.index("GRANT ") :])
        assert _look(poor).code is None
        cursor.execute("DROP USER poor@localhost")


def test_server_on_another_filesystem_is_named(config: Config, tmp_path: Path) -> None:
    """Data, logs and all: every variable whose path is on none of the mounts."""
    with filesystem(tmp_path / "other") as other:
        elsewhere = replace(config, mounts=(MountConfig(str(other), (VOLUME,)),), freeze=False)
        detail = _refusal(elsewhere, "database's files")
        for variable in (
            "datadir",
            "log_bin_basename",
            "innodb_data_file_path",
            "aria_log_dir_path",
        ):
            assert f"{variable}: " in detail
        assert "add its mount" in detail


def test_idle_time_that_is_cut_short_is_refused(
    config: Config, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A server that will not keep a silent session would drop the lock in the middle of a run."""
    folder = server_folder(tmp_path_factory, "impatient")
    options = ["--maximum-wait-timeout=5", "--wait-timeout=5"]
    server = MariaDb(folder / "data", folder / "binlogs", folder / "run", options=options)
    server.install()
    try:
        server.start()
        server.create_agent_account(folder / "agent.cnf")
        preflight = _look(replace(config, option_file=str(folder / "agent.cnf")))
    finally:
        server.stop()
    assert "after 5 s" in preflight.failures()
    assert "raise maximum-wait-timeout" in preflight.failures()


def test_path_that_is_no_mount_point_is_refused(config: Config, point: Path) -> None:
    """With freezing by the freezer, without by the agent: a folder would be the whole disk."""
    part = point / "part"
    part.mkdir(exist_ok=True)
    for freezes, name in ((True, "freezer"), (False, "mounts")):
        mounts, path = (MountConfig(str(part), (VOLUME,)),), _with_mount(config, part)
        detail = _look(replace(config, mounts=mounts, freeze=freezes, path=path)).failures()
        assert f"{name}: " in detail
        assert f"{part} is no mount point, it is part of {point}: mount the" in detail


def test_freezer_that_reads_other_mounts_is_refused(config: Config, tmp_path: Path) -> None:
    """A mount that was taken out of agent.toml since the agent's start would not be frozen."""
    with filesystem(tmp_path / "other") as other:
        both = (*config.mounts, MountConfig(str(other), ("vol-0fedcba9876543210",)))
        detail = _refusal(replace(config, mounts=both), "freezer")
    assert f"{other} (7:" in detail
    assert "restart the agent" in detail


def test_log_of_a_filesystem_is_a_volume_too(tmp_path: Path) -> None:
    """What XFS has on another device is of the same set: a copy without it cannot be mounted."""
    mount = tmp_path / "mount"
    mount.mkdir()
    with loop_device(tmp_path / "image", 320) as device, loop_device(tmp_path / "log", 80) as log:
        subprocess.run(["mkfs.xfs", "-q", "-l", f"logdev={log}", device], check=True)
        subprocess.run(["mount", "-o", f"logdev={log}", device, mount], check=True)
        try:
            told = f"is on 2 disks ({Path(device).name}: tells none, {Path(log).name}: tells none)"
            with pytest.raises(CheckFailedError, match=re.escape(told)):
                find_volumes((MountConfig(str(mount), (VOLUME,)),), Mounts.now())
            both = (VOLUME, "vol-0fedcba9876543210")
            assert find_volumes((MountConfig(str(mount), both),), Mounts.now()) == both
        finally:
            subprocess.run(["umount", mount], check=True)


def test_mount_that_hides_the_servers_is_refused(config: Config, point: Path) -> None:
    """Mounted over, the path shows another filesystem than the one the server writes to."""
    subprocess.run(["mount", "-t", "tmpfs", "over", str(point)], check=True)
    try:
        preflight = _look(config)
    finally:
        subprocess.run(["umount", str(point)], check=True)
    assert "is mounted twice, over over /dev/loop" in preflight.failures()
    assert preflight.code


@pytest.mark.parametrize("options", ["size=64k", "size=8m,nr_inodes=5"])
def test_no_room_for_the_state_is_refused(config: Config, tmp_path: Path, options: str) -> None:
    """Blocks or inodes: what must be undone after a crash could not be recorded."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(tmp_path)], check=True)
    try:
        detail = _refusal(replace(config, state_dir=str(tmp_path)), "state")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert f"state_dir {tmp_path} has" in detail
    assert "delete something there" in detail


def test_log_on_the_mount_is_refused(config: Config, point: Path) -> None:
    """A line of log that waits for the thaw would make the thaw wait."""
    with (point / "agent.log").open("wb") as log:
        checked = subprocess.run(
            [sys.executable, "-m", "holdstill_agent", "--config", str(config.path), "--check"],
            env={"PYTHONPATH": str(SOURCES), "AWS_REGION": "eu-west-1"},
            stderr=log,
            stdout=subprocess.PIPE,
            check=False,
            text=True,
            timeout=30,
        )
    assert checked.returncode == 1
    told = f"FAILED  own files: the agent's log {point}/agent.log is on {point}"
    assert told in checked.stdout


@pytest.mark.parametrize("key", ["state_dir", "run_dir"])
def test_own_folder_on_the_mount_is_refused(config: Config, point: Path, key: str) -> None:
    """Also by a path that only leads there: the filesystem counts, not the name."""
    folder = point / "holdstill"
    folder.mkdir(exist_ok=True)
    link = config.path.with_name(f"link-{key}")
    link.symlink_to(folder)
    changes: dict[str, Any] = {key: str(link)}
    detail = _look(replace(config, **changes)).failures()
    assert f"own files: {'freeze.' if key == 'run_dir' else ''}{key} {link} is on {point}" in detail


def test_swap_on_the_mount_is_refused(config: Config, point: Path) -> None:
    """Memory that is to be read back from a frozen filesystem may be the thawing process's own."""
    swap = point / "swap"
    with swap.open("wb") as file:
        file.write(bytes(1 << 20))
    swap.chmod(0o600)
    subprocess.run(["mkswap", "--quiet", swap], check=True)
    subprocess.run(["swapon", swap], check=True)
    try:
        detail = _refusal(config, "freezer")
    finally:
        subprocess.run(["swapoff", swap], check=True)
    assert f"the swap file {swap}: swapoff it, or move it" in detail


def test_without_database_nothing_of_it_is_asked(config: Config) -> None:
    """Lock "none": no option file, no session, no check of a server."""
    preflight = _look(replace(config, lock=Lock.NONE, option_file="/"))
    assert preflight.code is None, preflight.failures()
    assert not {one.name for one in preflight.checks} & {"database", "privileges", "session"}


def test_without_freeze_the_servers_files_still_count(config: Config, point: Path) -> None:
    """A lock alone makes a snapshot of what the server wrote, if that is on these volumes."""
    preflight = _look(replace(config, freeze=False))
    found = {one.name: one.detail for one in preflight.checks}
    assert preflight.code is None, preflight.failures()
    assert f"{point} is xfs on /dev/loop" in found["mounts"]
    assert "database's files" in found
    assert not {"freezer", "quiet", "not frozen", "general log", "own files"} & set(found)


@pytest.mark.parametrize(
    ("engine", "check", "told"),
    [("InnoDB", "database's files", "tablespace: "), ("MyISAM", "freezer", "stray.MYD is ")],
)
def test_table_on_another_filesystem_is_named(
    quiet_host: DatabaseHost, config: Config, engine: str, check: str, told: str
) -> None:
    """DATA DIRECTORY: InnoDB itself tells where it is, and a symbolic link where MyISAM's is."""
    big = quiet_host.places.run_dir / f"big-{engine}"
    big.mkdir()
    big.chmod(0o777)
    with quiet_host.server.connect() as admin, admin.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS strays")
        cursor.execute(
            f"CREATE TABLE strays.stray (id INT PRIMARY KEY) ENGINE={engine} DATA DIRECTORY='{big}'"
        )
        try:
            detail = _refusal(config, check)
        finally:
            cursor.execute("DROP TABLE strays.stray")
    assert told in detail
    assert str(big) in detail
    assert _look(config).code is None


def test_schema_on_a_mount_of_its_own_is_named(quiet_host: DatabaseHost, config: Config) -> None:
    """Mounted into the data directory, it is no part of the snapshot; without tables no matter."""
    nested = quiet_host.places.datadir / "nested"
    nested.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", nested], check=True)
    try:
        assert _look(config).code is None
        (nested / "m.MYD").touch()
        detail = _refusal(config, "freezer")
    finally:
        subprocess.run(["umount", nested], check=True)
        nested.rmdir()
    assert f"{nested} is a mount of its own, on none of [[mounts]]" in detail


def test_server_by_tcp_must_be_this_hosts(
    config: Config, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a loopback address a server with this host's name passes, a tunnel to another not."""
    folder = server_folder(tmp_path_factory, "tcp")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--skip-networking=0", "--bind-address=127.0.0.1", f"--port={port}"]
    server = MariaDb(folder / "data", folder / "binlogs", folder / "run", options=options)
    server.install()
    option_file = folder / "agent.cnf"
    try:
        server.start()
        server.create_agent_account(option_file)
        by_socket = option_file.read_text()
        with server.connect() as admin, admin.cursor() as cursor:  # it resolves no names
            cursor.execute("RENAME USER holdstill@localhost TO holdstill@'127.0.0.1'")
        line = f"socket = {server.socket}"
        option_file.write_text(by_socket.replace(line, f"host = 127.0.0.1\nport = {port}"))
        with closing(Database.connect(str(option_file), 1)) as database:
            assert database.addresses() == ("127.0.0.1", "127.0.0.1")
            require_this_host(database)
        monkeypatch.setattr(socket, "gethostname", lambda: "replica")
        detail = _look(replace(config, option_file=str(option_file), freeze=False)).failures()
    finally:
        server.stop()
    assert "database: the server behind 127.0.0.1 calls its host" in detail
