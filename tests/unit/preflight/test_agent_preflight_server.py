"""The server is this host's, keeps a silent session, and writes no log that would be frozen."""

import socket
from pathlib import Path
from typing import Any

import pymysql
import pytest

from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError, LockFailedError
from holdstill_agent.mountinfo import Mounts
from holdstill_agent.preflight.place import require_this_host
from holdstill_agent.preflight.server import require_lasting_session, require_no_general_log
from tests.unit.preflight.told_host import DATA, ROOT, FakeDatabase, configured

HERE = socket.gethostname()


@pytest.mark.parametrize(
    ("addresses", "hostname", "refusal"),
    [
        (None, "another", None),
        (("127.0.0.1", "127.0.0.1"), HERE, None),
        (("127.0.0.1", "127.0.0.2"), HERE, None),
        (("::1", "::1"), HERE, None),
        (("10.0.0.5", "10.0.0.5"), HERE, None),
        (("fe80::1%eth0", "fe80::1%eth0"), HERE, None),
        (("10.0.0.5", "10.0.0.9"), HERE, "10.0.0.9, which is no address of this host"),
        (("127.0.0.1", "127.0.0.1"), "another", "calls its host another, and this one is"),
        (("10.0.0.5", "10.0.0.5"), "0123456789ab", "in a container; .* write `socket`"),
    ],
)
def test_server_must_be_on_this_host(
    addresses: tuple[str, str] | None, hostname: str, refusal: str | None
) -> None:
    """A primary, locked for its replica's disk, has the same paths and proves nothing."""
    database = FakeDatabase({"hostname": hostname})
    database.reached_at = addresses
    if refusal is None:
        require_this_host(database)
        return
    with pytest.raises(CheckFailedError, match=refusal):
        require_this_host(database)


@pytest.mark.parametrize(
    ("lines", "disabled"),
    [
        ("socket = /run/mysqld.sock", True),
        ("socket = /run/mysqld.sock\nssl-ca = /etc/ca.pem", False),
        ("host = 127.0.0.1", False),
        ("", False),
    ],
)
def test_tls_is_spoken_where_it_protects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, disabled: bool
) -> None:
    """Not through a socket, unless it was asked for; over TCP as PyMySQL does."""
    asked: dict[str, Any] = {}

    def connect(**options: Any) -> None:
        asked.update(options)
        raise OSError("that is all")

    monkeypatch.setattr(pymysql, "connect", connect)
    option_file = tmp_path / "mysql.cnf"
    option_file.write_text(f"[client]\nuser = holdstill\n{lines}\n")
    with pytest.raises(LockFailedError):
        Database.connect(str(option_file), 1)
    assert asked["ssl_disabled"] is disabled


@pytest.mark.parametrize(("idle_s", "passes"), [(28800, True), (70, True), (69, False)])
def test_session_must_outlive_a_run(idle_s: int, passes: bool) -> None:
    """60 s from prepared to freeze, and the budget: a session that ends earlier loses its lock."""
    database = FakeDatabase({"wait_timeout": str(idle_s)})
    if passes:
        assert require_lasting_session(configured(), database)
        return
    with pytest.raises(CheckFailedError, match=r"after 69 s.* a run needs 70: raise maximum-wait"):
        require_lasting_session(configured(), database)


def _general_log(**variables: str) -> str:
    server = {"datadir": "/var/lib/mysql/", "general_log_file": "host.log", **variables}
    mounted = Mounts(f"{ROOT}\n{DATA}")
    return require_no_general_log(configured(), FakeDatabase(server), mounted)


@pytest.mark.parametrize(
    ("output", "file"),
    [
        ("FILE", "host.log"),
        ("FILE", "/var/lib/mysql/host.log"),
        ("TABLE", "/var/log/general.log"),
        ("FILE,TABLE", "/var/log/general.log"),
    ],
)
def test_general_log_on_a_mount_is_refused(output: str, file: str) -> None:
    """It would make every statement of every session wait for the thaw."""
    with pytest.raises(CheckFailedError, match="SET GLOBAL general_log = OFF"):
        _general_log(general_log="ON", log_output=output, general_log_file=file)


@pytest.mark.parametrize(
    ("log", "output", "file"),
    [
        ("OFF", "FILE", "host.log"),
        ("ON", "NONE", "host.log"),
        ("ON", "FILE", "/var/log/general.log"),
    ],
)
def test_general_log_elsewhere_is_no_matter(log: str, output: str, file: str) -> None:
    """Off, thrown away, or on another filesystem it holds nobody."""
    assert _general_log(general_log=log, log_output=output, general_log_file=file)
