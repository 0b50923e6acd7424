"""The agent's locks on real servers: what they hold, and that nothing outlives an error."""

import time

import pymysql
import pytest

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError, LockFailedError, LockTimeoutError
from holdstill_agent.locks import STRATEGIES, require_permitted
from holdstill_protocol.messages import Lock
from lab.host import DatabaseServer
from tests.host.database.on_servers import (
    Insert,
    on_both,
    on_mariadb,
    on_mysql,
    take,
    with_each_lock,
)

pytestmark = pytest.mark.root


@with_each_lock
def test_lock_holds_writers_until_it_is_given_back(
    server: DatabaseServer, database: Database, lock: Lock
) -> None:
    """From the last `take` to `give_back` no write is acknowledged; then the session is proof."""
    take(database, lock)
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
    take(database, lock)
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
            take(database, Lock.FTWRL)
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
    take(database, lock)
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
        take(database, Lock.BACKUP_STAGE)
        database.execute(STRATEGIES[Lock.BACKUP_STAGE].give_back)
        cursor.execute("ROLLBACK")


@on_both
def test_answer_under_the_lock_is_waited_for_as_told(
    server: DatabaseServer, database: Database
) -> None:
    """A server that is slow then is left in time; its statement's end is the lock's."""
    take(database, Lock.FTWRL)
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
