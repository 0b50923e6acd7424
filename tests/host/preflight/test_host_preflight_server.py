"""A real MariaDB: what it may not do, or writes elsewhere, is refused by name."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdstill_agent.config import Config, MountConfig
from holdstill_agent.database import Database
from holdstill_agent.preflight.place import require_this_host
from holdstill_protocol.messages import Lock
from lab.host import DatabaseHost
from lab.host.mariadb import MariaDb
from tests.host.conftest import VOLUME
from tests.host.folders import server_folder
from tests.host.freezing import filesystem
from tests.host.preflight.looking import look, refusal

pytestmark = pytest.mark.root


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


@pytest.mark.parametrize("output", ["FILE", "TABLE"])
def test_general_log_on_the_mount_is_refused(
    quiet_host: DatabaseHost, config: Config, output: str
) -> None:
    """As a file or as a table: both are written before each statement."""
    with _global(quiet_host, log_output=output, general_log="ON"):
        assert "SET GLOBAL general_log = OFF" in refusal(config, "general log")


@pytest.mark.parametrize("elsewhere", ["off", "elsewhere"])
def test_general_log_elsewhere_passes(
    quiet_host: DatabaseHost, config: Config, elsewhere: str
) -> None:
    """A general log that is not frozen holds nobody."""
    file = str(quiet_host.places.run_dir / "general.log")
    on = "OFF" if elsewhere == "off" else "ON"
    with _global(quiet_host, log_output="FILE", general_log_file=file, general_log=on):
        assert look(config).code is None


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
        detail = refusal(poor, "privileges")
        assert "'poor'@'localhost' may not" in detail
        cursor.execute(detail[detail.index("GRANT ") :])
        assert look(poor).code is None
        cursor.execute("DROP USER poor@localhost")


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
        preflight = look(replace(config, option_file=str(folder / "agent.cnf")))
    finally:
        server.stop()
    assert "after 5 s" in preflight.failures()
    assert "raise maximum-wait-timeout" in preflight.failures()


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
        detail = look(replace(config, option_file=str(option_file), freeze=False)).failures()
    finally:
        server.stop()
    assert "database: the server behind 127.0.0.1 calls its host" in detail


def test_server_on_another_filesystem_is_named(config: Config, tmp_path: Path) -> None:
    """Data, logs and all: every variable whose path is on none of the mounts."""
    with filesystem(tmp_path / "other") as other:
        elsewhere = replace(config, mounts=(MountConfig(str(other), (VOLUME,)),), freeze=False)
        detail = refusal(elsewhere, "database's files")
        for variable in (
            "datadir",
            "log_bin_basename",
            "innodb_data_file_path",
            "aria_log_dir_path",
        ):
            assert f"{variable}: " in detail
        assert "add its mount" in detail


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
            detail = refusal(config, check)
        finally:
            cursor.execute("DROP TABLE strays.stray")
    assert told in detail
    assert str(big) in detail
    assert look(config).code is None


def test_schema_on_a_mount_of_its_own_is_named(quiet_host: DatabaseHost, config: Config) -> None:
    """Mounted into the data directory, it is no part of the snapshot; without tables no matter."""
    nested = quiet_host.places.datadir / "nested"
    nested.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", nested], check=True)
    try:
        assert look(config).code is None
        (nested / "m.MYD").touch()
        detail = refusal(config, "freezer")
    finally:
        subprocess.run(["umount", nested], check=True)
        nested.rmdir()
    assert f"{nested} is a mount of its own, on none of [[mounts]]" in detail


def test_without_database_nothing_of_it_is_asked(config: Config) -> None:
    """Lock "none": no option file, no session, no check of a server."""
    preflight = look(replace(config, lock=Lock.NONE, option_file="/"))
    assert preflight.code is None, preflight.failures()
    assert not {one.name for one in preflight.checks} & {"database", "privileges", "session"}


def test_without_freeze_the_servers_files_still_count(config: Config, point: Path) -> None:
    """A lock alone makes a snapshot of what the server wrote, if that is on these volumes."""
    preflight = look(replace(config, freeze=False))
    found = {one.name: one.detail for one in preflight.checks}
    assert preflight.code is None, preflight.failures()
    assert f"{point} is xfs on /dev/loop" in found["mounts"]
    assert "database's files" in found
    assert not {"freezer", "quiet", "not frozen", "general log", "own files"} & set(found)
