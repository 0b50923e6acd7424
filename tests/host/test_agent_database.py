"""The agent's locks on real servers: what they hold, and that nothing outlives an error."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pymysql
import pytest

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError, LockFailedError, LockTimeoutError
from holdstill_agent.locks import STRATEGIES, require_permitted
from holdstill_agent.position import read_position
from holdstill_agent.preflight.tablespaces import tablespaces_elsewhere
from holdstill_protocol.messages import Lock
from lab.host import DatabaseServer, MariaDb, MySql
from tests.host.folders import server_folder

pytestmark = pytest.mark.root

LOCKS = [(MariaDb, Lock.FTWRL), (MariaDb, Lock.BACKUP_STAGE), (MySql, Lock.FTWRL)]

on_both = pytest.mark.parametrize("server", [MariaDb, MySql], indirect=True)
on_mariadb = pytest.mark.parametrize("server", [MariaDb], indirect=True)
on_mysql = pytest.mark.parametrize("server", [MySql], indirect=True)
with_each_lock = pytest.mark.parametrize(("server", "lock"), LOCKS, indirect=["server"])


Servers = Callable[[type[DatabaseServer]], DatabaseServer]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Return what gives the one server of each kind, started when it is first asked for."""
    with ExitStack() as stops:

        @cache
        def started(kind: type[DatabaseServer]) -> DatabaseServer:
            folder = server_folder(tmp_path_factory, kind.name)
            server = kind(folder / "data", folder / "binlogs", folder / "run")
            server.install()
            stops.callback(server.stop)
            server.start()
            with server.connect() as connection, connection.cursor() as cursor:
                cursor.execute("CREATE DATABASE shop")
                cursor.execute("CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY)")
            server.create_agent_account(folder / "run" / "agent.cnf")
            return server

        yield started


@pytest.fixture
def server(request: pytest.FixtureRequest, servers: Servers) -> DatabaseServer:
    """Return the server of the kind that is asked for."""
    return servers(request.param)


@pytest.fixture
def option_file(server: DatabaseServer) -> str:
    """Return the agent's account."""
    return str(server.socket.parent / "agent.cnf")


@pytest.fixture
def database(option_file: str) -> Iterator[Database]:
    """Return the agent's session."""
    database = Database.connect(option_file, 1)
    yield database
    database.close()


class Insert:
    """An insert, begun in another session."""

    def __init__(self, server: DatabaseServer) -> None:
        self._connection: Any = server.connect("shop")
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute("INSERT INTO orders VALUES ()")
        self._connection.close()

    def waits(self) -> bool:
        """Return whether it still waits after a moment."""
        self._thread.join(0.2)
        return self._thread.is_alive()

    def finish(self) -> bool:
        """Return whether it comes through soon."""
        self._thread.join(3)
        return not self._thread.is_alive()


def _take(database: Database, lock: Lock) -> None:
    for statement in (*STRATEGIES[lock].ease, *STRATEGIES[lock].take):
        database.execute(statement)


@with_each_lock
def test_lock_holds_writers_until_it_is_given_back(
    server: DatabaseServer, database: Database, lock: Lock
) -> None:
    """From the last `take` to `give_back` no write is acknowledged; then the session is proof."""
    _take(database, lock)
    insert = Insert(server)
    assert insert.waits()
    database.execute(STRATEGIES[lock].give_back)
    assert insert.finish()
    assert database.is_same_session()


@with_each_lock
@pytest.mark.parametrize("how", ["close", "kill"])
def test_lock_ends_with_its_session(
    server: DatabaseServer, database: Database, lock: Lock, how: str
) -> None:
    """Closed here or killed there: writers go on, and nobody takes it for a lock that held."""
    _take(database, lock)
    insert = Insert(server)
    assert insert.waits()
    if how == "close":
        database.close()
    else:
        with server.connect() as admin, admin.cursor() as cursor:
            cursor.execute(f"KILL {database._session_id}")
    assert insert.finish()
    assert not database.is_same_session()


@on_both
def test_lock_timeout_leaves_nothing(server: DatabaseServer, database: Database) -> None:
    """When others keep their tables locked, it gives up in time, closes, and writers go on."""
    with server.connect("shop") as blocker, blocker.cursor() as cursor:
        cursor.execute("LOCK TABLES orders WRITE")
        began = time.monotonic()
        with pytest.raises(LockTimeoutError):
            _take(database, Lock.FTWRL)
        assert time.monotonic() - began < 4
        cursor.execute("UNLOCK TABLES")
    with pytest.raises(LockFailedError):
        database.execute("SELECT 1")
    assert Insert(server).finish()


@on_mysql
def test_lock_timeout_on_mysql_holds_until_the_session_ends(
    server: DatabaseServer, option_file: str
) -> None:
    """After error 1205 MySQL keeps the lock that it did not give: the session must be closed."""
    strategy = STRATEGIES[Lock.FTWRL]
    with server.connect("shop") as reader, reader.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS shelf (id INT)")
        cursor.execute("LOCK TABLES shelf READ")
        with server.connect() as naive, naive.cursor() as attempt:
            attempt.execute("SET SESSION lock_wait_timeout = 1")
            with pytest.raises(pymysql.OperationalError, match="1205"):
                attempt.execute(strategy.take[0])
            insert = Insert(server)
            assert insert.waits()
        assert insert.finish()
        database = Database.connect(option_file, 1)
        with pytest.raises(LockTimeoutError):
            database.execute(strategy.take[0])
        assert Insert(server).finish()


@with_each_lock
def test_lock_of_an_agent_that_says_nothing_ends(
    server: DatabaseServer, database: Database, lock: Lock
) -> None:
    """A stopped agent cannot give its lock back: the server ends the idle session."""
    database.end_when_idle(1)
    _take(database, lock)
    insert = Insert(server)
    assert insert.waits()
    assert insert.finish()
    assert not database.is_same_session()


@on_mariadb
def test_backup_stage_passes_a_long_update(server: DatabaseServer, database: Database) -> None:
    """An uncommitted InnoDB transaction does not keep MariaDB's backup stages waiting."""
    with server.connect("shop") as other, other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO orders VALUES ()")
        _take(database, Lock.BACKUP_STAGE)
        database.execute(STRATEGIES[Lock.BACKUP_STAGE].give_back)
        cursor.execute("ROLLBACK")


@with_each_lock
@pytest.mark.usefixtures("server")
def test_locking_writes_no_binary_log(database: Database, lock: Lock) -> None:
    """A replica sees nothing of a backup, and the position is the same before and after."""
    before = read_position(database)
    require_permitted(lock, database)
    _take(database, lock)
    assert read_position(database) == before
    database.execute(STRATEGIES[lock].give_back)
    assert read_position(database) == before


@on_both
def test_position_is_where_the_log_ends(server: DatabaseServer, database: Database) -> None:
    """File and offset are what the log's own size says."""
    assert Insert(server).finish()
    _take(database, Lock.FTWRL)
    position = read_position(database)
    assert position.engine == server.name
    assert position.file
    log = Path(server.datadir.parent / "binlogs" / position.file)
    assert log.stat().st_size == position.offset
    with server.connect() as other, other.cursor() as cursor:
        cursor.execute(server.select_gtid)
        assert cursor.fetchall() == ((position.gtid,),)


@on_both
def test_tablespaces_are_told_to_the_agents_account(
    server: DatabaseServer, database: Database
) -> None:
    """PROCESS suffices to ask; what is in the data directory is of no interest."""
    assert Insert(server).finish()
    assert tablespaces_elsewhere(database, str(server.datadir)) == []
    assert database.is_same_session()


def _may_lock(database: Database) -> None:
    require_permitted(Lock.FTWRL, database)


@pytest.mark.parametrize(
    ("server", "grant", "refused"),
    [
        (MariaDb, "RELOAD", read_position),
        (MariaDb, "BINLOG MONITOR", _may_lock),
        (MySql, "FLUSH_TABLES", read_position),
        (MySql, "REPLICATION CLIENT", _may_lock),
    ],
    indirect=["server"],
)
def test_missing_privilege_is_found_before_the_lock(
    server: DatabaseServer, tmp_path: Path, grant: str, refused: Callable[[Database], object]
) -> None:
    """An account that could not lock, or not read the position, fails the pre-flight."""
    with server.connect() as admin, admin.cursor() as cursor:
        cursor.execute("DROP USER IF EXISTS poor@localhost")
        cursor.execute("CREATE USER poor@localhost IDENTIFIED BY 'secret'")
        cursor.execute(f"GRANT {grant} ON *.* TO poor@localhost")
    option_file = tmp_path / "poor.cnf"
    option_file.write_text(f"[client]\nuser=poor\npassword=secret\nsocket={server.socket}\n")
    database = Database.connect(str(option_file), 1)
    with pytest.raises(LockFailedError, match="denied"):
        refused(database)
    assert not database.is_same_session()


@on_both
def test_answer_under_the_lock_is_waited_for_as_told(
    server: DatabaseServer, database: Database
) -> None:
    """A server that is slow then is left in time; its statement's end is the lock's."""
    _take(database, Lock.FTWRL)
    insert = Insert(server)
    assert insert.waits()
    began = time.monotonic()
    database.answer_by(monotonic_ms() + 300)
    with pytest.raises(LockFailedError):
        database.execute("SELECT SLEEP(2)")
    assert 0.2 < time.monotonic() - began < 1
    assert insert.finish()


@on_mysql
def test_backup_stage_is_refused_on_mysql(database: Database) -> None:
    """MySQL knows no backup stages, and its LOCK INSTANCE FOR BACKUP is no lock."""
    with pytest.raises(CheckFailedError, match="MySQL needs"):
        require_permitted(Lock.BACKUP_STAGE, database)


@on_both
def test_unusable_option_file_is_said_plainly(tmp_path: Path, server: DatabaseServer) -> None:
    """A missing file, a wrong password, a dead socket, no port: an error with the file's name."""
    wrong = tmp_path / "wrong.cnf"
    for text in (
        None,
        f"[client]\nuser=holdstill\npassword=wrong\nsocket={server.socket}\n",
        "[client]\nuser=holdstill\nsocket=/nonexistent.sock\n",
        "no section\n",
        "[client]\nuser=holdstill\nport=abc\n",
        "[client]\nuser=\udcff\n",
    ):
        if text is not None:
            wrong.write_bytes(os.fsencode(text))
        with pytest.raises(LockFailedError, match=r"wrong\.cnf"):
            Database.connect(str(wrong), 1)
