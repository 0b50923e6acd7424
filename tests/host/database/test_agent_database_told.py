"""What real servers tell the agent's account: positions, tablespaces, and what is missing."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from holdstill_agent.database import Database
from holdstill_agent.errors import LockFailedError
from holdstill_agent.locks import STRATEGIES, require_permitted
from holdstill_agent.position import read_position
from holdstill_agent.preflight.tablespaces import tablespaces_elsewhere
from holdstill_protocol.messages import Lock
from lab.host import DatabaseServer, MariaDb, MySql
from tests.host.database.on_servers import Insert, on_both, take, with_each_lock

pytestmark = pytest.mark.root


@with_each_lock
@pytest.mark.usefixtures("server")
def test_locking_writes_no_binary_log(database: Database, lock: Lock) -> None:
    """A replica sees nothing of a backup, and the position is the same before and after."""
    before = read_position(database)
    require_permitted(lock, database)
    take(database, lock)
    assert read_position(database) == before
    database.execute(STRATEGIES[lock].give_back)
    assert read_position(database) == before


@on_both
def test_position_is_where_the_log_ends(server: DatabaseServer, database: Database) -> None:
    """File and offset are what the log's own size says."""
    assert Insert(server).finish()
    take(database, Lock.FTWRL)
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
