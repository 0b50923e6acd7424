"""A server of these tests' own, and an agent without patience."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from holdstill_agent import quiet_moment
from holdstill_agent.config import Config, load
from lab.host.mariadb import MariaDb
from lab.host.mysql import MySql
from lab.host.server import DatabaseServer
from tests.host.folders import server_folder
from tests.host.long_query.blocking import EXAMPLE, WAIT_S, agent_option_file
from tests.host.rivals import create_app

# Nobody asks for these servers' files again.
UNSYNCED = ("--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0")
TABLES = ("orders", "other", *(f"t{n}" for n in range(7)))


@pytest.fixture(scope="package", params=[MariaDb, MySql], ids=lambda kind: str(kind.name))
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DatabaseServer]:
    """Return a server that nobody else uses, and that tells who holds which lock."""
    folder = server_folder(tmp_path_factory, "server")
    places = (folder / "data", folder / "binlogs", folder / "run")
    server: DatabaseServer = request.param(*places, options=UNSYNCED)
    server.install()
    try:
        server.start()
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE shop")
            for table in TABLES:
                cursor.execute(
                    f"CREATE TABLE shop.{table}"
                    " (id INT AUTO_INCREMENT PRIMARY KEY, v INT, t VARCHAR(9))"
                )
                cursor.execute(f"INSERT INTO shop.{table} (v) VALUES (1)")  # noqa: S608 - ours
            if server.name == "mariadb":
                cursor.execute("INSTALL SONAME 'metadata_lock_info'")
        create_app(server)
        server.create_agent_account(agent_option_file(server))
        yield server
    finally:
        server.kill()


@pytest.fixture(autouse=True)
def _soon_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expect a statement of 0.1 s to last, instead of one of a second."""
    monkeypatch.setattr(quiet_moment, "_OLD_MS", 100)


@pytest.fixture
def config(server: DatabaseServer) -> Config:
    """Return a configuration that locks and does not freeze, without patience."""
    return replace(
        load(EXAMPLE),
        option_file=str(agent_option_file(server)),
        freeze=False,
        lock_wait_timeout_s=WAIT_S,
        quiet_patience_ms=0,
    )


def _privilege(server: DatabaseServer) -> str:
    return "CONNECTION ADMIN" if server.name == "mariadb" else "CONNECTION_ADMIN"


@pytest.fixture
def may_kill(server: DatabaseServer) -> Iterator[None]:
    """Give the agent's account what killing others' queries needs."""
    with server.connect() as admin, admin.cursor() as cursor:
        cursor.execute(f"GRANT {_privilege(server)} ON *.* TO holdstill@localhost")
        yield
        cursor.execute(f"REVOKE {_privilege(server)} ON *.* FROM holdstill@localhost")
