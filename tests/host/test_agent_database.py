"""The agent's locks on a real MariaDB: what they hold, and that nothing outlives an error."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError, LockFailedError, LockTimeoutError
from holdstill_agent.locks import STRATEGIES, require_permitted
from holdstill_agent.position import read_position
from holdstill_protocol.messages import Lock
from lab.host.mariadb import MariaDb

pytestmark = pytest.mark.root

LOCKS = [Lock.FTWRL, Lock.BACKUP_STAGE]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    """Return a MariaDB that nobody else uses."""
    folder = tmp_path_factory.mktemp("mariadb")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(parent.stat().st_mode | 0o055)  # MariaDB runs as its own user
    (folder / "run").mkdir()
    server = MariaDb(folder / "data", folder / "binlogs", folder / "run")
    server.install()
    try:
        server.start()
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE shop")
            cursor.execute("CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY)")
        server.create_agent_account(folder / "run" / "agent.cnf")
        yield server
    finally:
        server.stop()


@pytest.fixture
def option_file(server: MariaDb) -> str:
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

    def __init__(self, server: MariaDb) -> None:
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


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_holds_writers_until_it_is_given_back(
    server: MariaDb, database: Database, lock: Lock
) -> None:
    """From the last `take` to `give_back` no write is acknowledged; then the session is proof."""
    _take(database, lock)
    insert = Insert(server)
    assert insert.waits()
    database.execute(STRATEGIES[lock].give_back)
    assert insert.finish()
    assert database.is_same_session()


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("how", ["close", "kill"])
def test_lock_ends_with_its_session(
    server: MariaDb, database: Database, lock: Lock, how: str
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


def test_lock_timeout_leaves_nothing(server: MariaDb, database: Database) -> None:
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


def test_backup_stage_passes_a_long_update(server: MariaDb, database: Database) -> None:
    """An uncommitted InnoDB transaction does not keep MariaDB's backup stages waiting."""
    with server.connect("shop") as other, other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO orders VALUES ()")
        _take(database, Lock.BACKUP_STAGE)
        database.execute(STRATEGIES[Lock.BACKUP_STAGE].give_back)
        cursor.execute("ROLLBACK")


@pytest.mark.parametrize("lock", LOCKS)
def test_locking_writes_no_binary_log(database: Database, lock: Lock) -> None:
    """A replica sees nothing of a backup, and the position is the same before and after."""
    before = read_position(database)
    require_permitted(lock, database)
    _take(database, lock)
    assert read_position(database) == before
    database.execute(STRATEGIES[lock].give_back)
    assert read_position(database) == before


def test_position_is_where_the_log_ends(server: MariaDb, database: Database) -> None:
    """File and offset are what the log's own size says."""
    assert Insert(server).finish()
    _take(database, Lock.FTWRL)
    position = read_position(database)
    assert (position.engine, position.server_uuid) == ("mariadb", None)
    assert position.file
    log = Path(server.datadir.parent / "binlogs" / position.file)
    assert log.stat().st_size == position.offset
    assert position.gtid.startswith("0-1-")


@pytest.mark.parametrize(
    ("grant", "refused"),
    [("RELOAD", read_position), ("BINLOG MONITOR", lambda db: require_permitted(Lock.FTWRL, db))],
)
def test_missing_privilege_is_found_before_the_lock(
    server: MariaDb, tmp_path: Path, grant: str, refused: Callable[[Database], object]
) -> None:
    """An account that could not lock, or not read the position, fails the pre-flight."""
    with server.connect() as admin, admin.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE USER poor@localhost IDENTIFIED BY 'secret'")
        cursor.execute(f"GRANT {grant} ON *.* TO poor@localhost")
    option_file = tmp_path / "poor.cnf"
    option_file.write_text(f"[client]\nuser=poor\npassword=secret\nsocket={server.socket}\n")
    database = Database.connect(str(option_file), 1)
    with pytest.raises(LockFailedError, match="denied"):
        refused(database)
    assert not database.is_same_session()


def test_answer_under_the_lock_is_waited_for_as_told(server: MariaDb, database: Database) -> None:
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


def test_backup_stage_is_refused_on_mysql(database: Database) -> None:
    """MySQL knows no backup stages, and its LOCK INSTANCE FOR BACKUP is no lock."""
    database.is_mariadb = False
    with pytest.raises(CheckFailedError, match="MySQL needs"):
        require_permitted(Lock.BACKUP_STAGE, database)


def test_unusable_option_file_is_said_plainly(tmp_path: Path, server: MariaDb) -> None:
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
