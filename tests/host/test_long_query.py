"""The long-query guard on real servers: who waits for whom, who is named, who is killed.

Whatever fails, no other writer waits half a second longer than the lock may, and no lock is left
behind.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdstill_agent import hold as hold_module
from holdstill_agent import locking, quiet_moment
from holdstill_agent.blockers import Sight
from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config, load
from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError, NoAnswerError
from holdstill_agent.guard import post_lookout
from holdstill_agent.hold import Hold
from holdstill_agent.locks import STRATEGIES
from holdstill_agent.lookout import Lookout
from holdstill_agent.preflight import Preflight
from holdstill_protocol.host_model import Failed, QuiesceHeld
from holdstill_protocol.messages import Lock, RefusalCode
from lab.host.mariadb import MariaDb
from lab.host.mysql import MySql
from lab.host.server import DatabaseServer
from tests.host.folders import server_folder
from tests.host.rivals import Stall, create_app, rival

pytestmark = pytest.mark.root

EXAMPLE = Path(__file__).parents[2] / "agent" / "agent.example.toml"
RUN = "recipes-db.20300101T000000Z.1"
WAIT_S = 1  # lock_wait_timeout_s, the least there is
STALL_S = WAIT_S + 0.5

# Nobody asks for these servers' files again.
UNSYNCED = ("--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0")

LONG_SELECT = ("SELECT SLEEP(60), 'se''cret', 4711 FROM {} /* secret */ LIMIT 1",)
LONG_UPDATE = ("UPDATE {} SET t = 'secret' WHERE id = 1 AND SLEEP(60) = 0",)
FOR_UPDATE = ("BEGIN", "SELECT SLEEP(60), 'secret' FROM {} WHERE id = 1 FOR UPDATE")
CREATE = ("CREATE TABLE made_of_{0} AS SELECT SLEEP(60), 'secret' FROM {0} LIMIT 1",)
LOCK_WRITE = ("LOCK TABLES {} WRITE",)
LOCK_READ = ("LOCK TABLES {} READ",)
HANDLER = ("HANDLER {} OPEN",)
OPEN_TRANSACTION = ("BEGIN", "UPDATE {} SET v = 2 WHERE id = 1")
OPEN_READ = ("BEGIN", "SELECT * FROM {}")
NO_TABLE = ("SELECT SLEEP(60)",)

WRITERS = (LONG_UPDATE, FOR_UPDATE, CREATE, LOCK_WRITE)
READERS = (LONG_SELECT, LOCK_READ, HANDLER)
NOBODY = (OPEN_TRANSACTION, OPEN_READ, NO_TABLE)
TABLES = ("orders", "other", *(f"t{n}" for n in range(7)))


@pytest.fixture(scope="module", params=[MariaDb, MySql], ids=lambda kind: str(kind.name))
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
        server.create_agent_account(_option_file(server))
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
        option_file=str(_option_file(server)),
        freeze=False,
        lock_wait_timeout_s=WAIT_S,
        quiet_patience_ms=0,
    )


class Connected(Preflight):
    """A pre-flight of the database's connections alone."""

    def run(self) -> None:
        """Connect."""
        config = self._config
        self.database = Database.connect(config.option_file, config.lock_wait_timeout_s)
        self.lookout = post_lookout(config, self.database)


def _option_file(server: DatabaseServer) -> Path:
    return server.socket.parent / "agent.cnf"


def _quiesce(config: Config) -> tuple[Hold, QuiesceHeld | Failed]:
    hold = Hold(config, Connected)
    hold.preflight(RUN, monotonic_ms() + 5000, lambda _: True)
    return hold, hold.quiesce(RUN, monotonic_ms() + 15_000)


def _on_orders(statements: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(one.format("orders") for one in statements)


def _refused(config: Config) -> str:
    hold, failed = _quiesce(config)
    hold.disconnect()
    assert isinstance(failed, Failed)
    assert failed.code is RefusalCode.LOCK_TIMEOUT, failed
    return failed.detail


def _held(config: Config) -> None:
    hold, held = _quiesce(config)
    assert isinstance(held, QuiesceHeld), held
    assert hold.release(RUN).intact


def _blocks(server: DatabaseServer) -> tuple[tuple[str, ...], ...]:
    return WRITERS if server.name == "mariadb" else WRITERS + READERS


def _passes(server: DatabaseServer) -> tuple[tuple[str, ...], ...]:
    return NOBODY + READERS if server.name == "mariadb" else NOBODY


@contextmanager
def _rivals(server: DatabaseServer, kinds: Sequence[tuple[str, ...]]) -> Iterator[set[int]]:
    """Let each of these sessions do its own, on a table of its own; yield their ids."""
    with ExitStack() as stack:
        yield {
            stack.enter_context(rival(server, *(one.format(f"t{n}") for one in statements)))
            for n, statements in enumerate(kinds)
        }


def test_blockers_are_named_and_no_lock_begun(server: DatabaseServer, config: Config) -> None:
    """Who would keep the lock waiting is seen before: no writer waits, no literal is told."""
    with _rivals(server, _blocks(server)) as sessions, Stall(server, ["other"]) as stall:
        time.sleep(0.1)  # a younger statement is expected to end by itself
        told = _refused(config)
        lookout = post_lookout(config, Database.connect(config.option_file, 1))
        seen = {one.session_id: one for one in lookout.look() if one.user == "app"}
        lookout.close()
    assert set(seen) == sessions
    shown = [*map(str, seen.values()), told]
    assert not any("secret" in text or "4711" in text for text in shown)
    assert any("UPDATE t0 SET t = ? WHERE id = ?" in text for text in shown)
    assert told.count("(app): ") == 3
    assert stall.longest_s["other"] < WAIT_S / 2


def test_who_does_not_block_is_no_reason(server: DatabaseServer, config: Config) -> None:
    """An open transaction keeps no lock waiting, on MariaDB no reader either: the run goes on."""
    with _rivals(server, _passes(server)):
        _held(config)


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the last look be just before the rival's statement, which then lasts."""
    monkeypatch.setattr(hold_module, "await_quiet", lambda *_: "")
    monkeypatch.setattr(locking, "require_quiet", lambda _: None)


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize("eased", [False, True])
def test_failed_lock_holds_writers_no_longer_than_its_wait(
    server: DatabaseServer, config: Config, monkeypatch: pytest.MonkeyPatch, eased: bool
) -> None:
    """It is given up, its culprit alone is named, and MySQL does not keep it."""
    if eased:  # the query came between FLUSH TABLES and FLUSH TABLES WITH READ LOCK
        ftwrl = replace(STRATEGIES[Lock.FTWRL], ease=())
        monkeypatch.setitem(STRATEGIES, Lock.FTWRL, ftwrl)
    blocks = LONG_SELECT if server.name == "mysql" else LONG_UPDATE
    with rival(server, *_on_orders(blocks)) as session_id, Stall(server, ["other"]) as stall:
        began = time.monotonic()
        told = _refused(config)
        assert time.monotonic() - began > WAIT_S - 0.2
        _await_write(server)
    assert f"session {session_id} (app): " in told
    assert told.count("session ") == 1, f"who waited behind the lock is no culprit: {told}"
    assert stall.longest_s["other"] < STALL_S
    assert stall.longest_s["other"] > WAIT_S - 0.2 or not (eased or server.name == "mariadb")


@pytest.mark.usefixtures("unseen", "may_kill")
def test_flush_that_failed_keeps_nobody_from_a_table(
    server: DatabaseServer, config: Config
) -> None:
    """MySQL would, until the reader ends: it is killed, where that is configured."""
    with rival(server, *_on_orders(LONG_SELECT)), Stall(server, ["orders", "other"]) as stall:
        time.sleep(0.2)  # it is to be a second old when the lock is given up
        hold, _ = _quiesce(replace(config, kill_queries_older_than_s=1))
        hold.disconnect()
    assert max(stall.longest_s.values()) < STALL_S


@pytest.mark.usefixtures("unseen")
def test_look_that_takes_too_long_leaves_no_lock_waiting(
    server: DatabaseServer, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session is of no use any more: the lock's is ended nevertheless."""
    ftwrl = replace(STRATEGIES[Lock.FTWRL], ease=())  # so that writers wait on MySQL too
    monkeypatch.setitem(STRATEGIES, Lock.FTWRL, ftwrl)
    hold = Hold(config, Connected)
    hold.preflight(RUN, monotonic_ms() + 5000, lambda _: True)
    assert hold._database
    # The server itself would give up later than the agent, as MySQL does where it waits thrice.
    hold._database.execute(f"SET SESSION lock_wait_timeout = {WAIT_S * 4}")
    monkeypatch.setattr(
        "holdstill_agent.lookout.find_blockers",
        lambda database, *_: database.execute("SELECT SLEEP(1)"),
    )
    blocks = LONG_SELECT if server.name == "mysql" else LONG_UPDATE
    with rival(server, *_on_orders(blocks)), Stall(server, ["other"]) as stall:
        failed = hold.quiesce(RUN, monotonic_ms() + 15_000)
        _await_write(server)
    assert isinstance(failed, Failed)
    assert "who was in the way could not be seen" in failed.detail
    assert WAIT_S - 0.2 < stall.longest_s["other"] < STALL_S


def _await_write(server: DatabaseServer) -> None:
    """Write: it would wait for ever on a lock that was left."""
    with server.connect("shop") as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION lock_wait_timeout = 1")
        cursor.execute("INSERT INTO other (v) VALUES (1)")


def _privilege(server: DatabaseServer) -> str:
    return "CONNECTION ADMIN" if server.name == "mariadb" else "CONNECTION_ADMIN"


@pytest.fixture
def may_kill(server: DatabaseServer) -> Iterator[None]:
    """Give the agent's account what killing others' queries needs."""
    with server.connect() as admin, admin.cursor() as cursor:
        cursor.execute(f"GRANT {_privilege(server)} ON *.* TO holdstill@localhost")
        yield
        cursor.execute(f"REVOKE {_privilege(server)} ON *.* FROM holdstill@localhost")


@pytest.mark.usefixtures("may_kill")
def test_old_query_is_killed_where_that_is_configured(
    server: DatabaseServer, config: Config
) -> None:
    """Its statement ends, its session does not; the kill is noted; the run goes on."""
    config = replace(config, kill_queries_older_than_s=1, quiet_patience_ms=8000)
    noted: list[tuple[str, Any]] = []
    hold = Hold(config, Connected, lambda name, **fields: noted.append((name, fields)))
    with rival(server, *_on_orders(LONG_UPDATE)) as session_id:
        time.sleep(0.1)  # a younger statement is expected to end by itself
        began = time.monotonic()
        hold.preflight(RUN, monotonic_ms() + 5000, lambda _: True)
        held = hold.quiesce(RUN, monotonic_ms() + 15_000)
        assert isinstance(held, QuiesceHeld), held
        assert time.monotonic() - began < 4
        assert hold.release(RUN).intact
        with server.connect() as admin, admin.cursor() as cursor:
            cursor.execute("SHOW PROCESSLIST")
            assert session_id in {row[0] for row in cursor.fetchall()}
    ((name, fields),) = noted
    assert (name, fields["session_id"], fields["run_id"]) == ("query-killed", session_id, RUN)


@pytest.mark.usefixtures("may_kill")
def test_other_statement_of_the_same_session_is_not_killed(
    server: DatabaseServer, config: Config
) -> None:
    """What was seen has ended, and its session runs another by now: that one goes on."""
    lookout = post_lookout(config, Database.connect(config.option_file, 1))
    with rival(server, *_on_orders(LONG_UPDATE)) as session_id:
        (blocker,) = lookout.look()
        assert blocker.session_id == session_id
        assert blocker.query_id
        lookout.kill(replace(blocker, query_id=blocker.query_id - 1))
        assert lookout.killed == []
        assert [one.query_id for one in lookout.look()] == [blocker.query_id]
        lookout.kill(blocker)
        assert lookout.killed == [blocker]
    lookout.close()


@pytest.mark.usefixtures("may_kill")
def test_locked_tables_are_nobodys_query(server: DatabaseServer, config: Config) -> None:
    """Whoever holds LOCK TABLES runs nothing that could be killed: it is named instead."""
    config = replace(config, kill_queries_older_than_s=1)
    with rival(server, *_on_orders(LOCK_WRITE)) as session_id:
        time.sleep(1.1)
        assert f"session {session_id} (app)" in _refused(config)
        with server.connect() as admin, admin.cursor() as cursor:
            cursor.execute("SHOW PROCESSLIST")
            assert session_id in {row[0] for row in cursor.fetchall()}


def test_statement_that_hangs_does_not_keep_the_lock(
    server: DatabaseServer, config: Config
) -> None:
    """The server would end it in its own time, and only then see that its client is gone."""
    hold, held = _quiesce(config)
    assert isinstance(held, QuiesceHeld)
    database = hold._database
    assert database
    database.answer_by(monotonic_ms() + 200)
    with pytest.raises(NoAnswerError):
        database.execute("SELECT SLEEP(60)")
    hold.disconnect()
    began = time.monotonic()
    _await_write(server)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("needs", ["sight", "kill"])
def test_missing_privilege_is_told_as_its_grant(
    server: DatabaseServer, config: Config, tmp_path: Path, needs: str
) -> None:
    """What the refusal says can be pasted, and then it passes."""
    option_file = tmp_path / "poor.cnf"
    option_file.write_text(f"[client]\nuser=poor\npassword=secret\nsocket={server.socket}\n")
    config = replace(
        config,
        option_file=str(option_file),
        kill_queries_older_than_s=60 if needs == "kill" else None,
    )
    with server.connect() as admin, admin.cursor() as cursor:
        cursor.execute("DROP USER IF EXISTS poor@localhost")
        cursor.execute("CREATE USER poor@localhost IDENTIFIED BY 'secret'")
        if needs == "kill":
            for grant in server.agent_grants:
                cursor.execute(f"GRANT {grant} TO poor@localhost")
        with pytest.raises(CheckFailedError, match="GRANT ") as refused:
            post_lookout(config, Database.connect(config.option_file, 1))
        cursor.execute("GRANT " + str(refused.value).partition("GRANT ")[2])
    post_lookout(config, Database.connect(config.option_file, 1)).close()


def test_server_without_tables_of_locks_shows_statements(
    server: DatabaseServer, config: Config
) -> None:
    """Then what runs is judged by its words: a long UPDATE is named, an idle one is not seen."""
    database = Database.connect(config.option_file, 1)
    lookout = Lookout.connect(config.option_file, database, Lock.FTWRL)
    lookout.sight = Sight.STATEMENTS
    with rival(server, *_on_orders(LONG_UPDATE)) as session_id:
        (blocker,) = lookout.look()
    assert blocker.session_id == session_id
    assert "secret" not in str(blocker)
    if server.name == "mysql":  # nothing there tells a statement's age for certain, or its id
        assert (blocker.certain_ms, blocker.query_id) == (0, None)
        assert blocker.doubt
    with rival(server, *_on_orders(LOCK_WRITE)):
        assert lookout.look() == ()
    database.close()
    lookout.close()


def test_bytes_that_are_no_text_are_shown(server: DatabaseServer, config: Config) -> None:
    """A statement may hold anything; looking at it never fails."""
    statement = b"UPDATE orders SET v = 1 WHERE SLEEP(60) = '\xff\xfe\x01\xf0\x9f'"
    database = Database.connect(config.option_file, 1)
    lookout = Lookout.connect(config.option_file, database, Lock.FTWRL)
    with rival(server, statement) as session_id:
        assert session_id in {one.session_id for one in lookout.look()}
    lookout.close()
    database.close()
