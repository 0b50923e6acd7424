"""A backup on a real replica: its source's coordinates in the copy are true, and it goes on after.

Proven by a new replica that is made from the copy: it starts at those coordinates and ends with
every row of the source, none twice.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pymysql
import pytest

from holdstill_agent.blockers import Blocker
from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config, load
from holdstill_agent.database import Database
from holdstill_agent.hold import Hold
from holdstill_agent.lookout import Lookout
from holdstill_agent.quiet_moment import await_quiet
from holdstill_agent.replica import Dialect, dialect
from holdstill_agent.unfinished import Unfinished
from holdstill_protocol.host_model import Failed, PreflightPassed, QuiesceHeld
from holdstill_protocol.messages import Lock, RefusalCode
from lab.ec2.disks import ImageDisks
from lab.host import AgentConfig, DatabaseHost, disk
from lab.host.mariadb import MariaDb
from lab.host.mysql import MySql
from lab.host.places import Places, scratch
from lab.host.server import DatabaseServer
from tests.host.freezing import watchdog
from tests.host.quiescing import VOLUME, restored

pytestmark = pytest.mark.root

RUN = "recipes-db.20300101T000000Z.1"
SOURCES = Path(__file__).parents[2] / "agent" / "src"
PASSWORD = "replicate"  # noqa: S105 - a test's own
CHANGE = {
    "mariadb": "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port},"
    " MASTER_USER='repl', MASTER_PASSWORD='replicate', MASTER_CONNECT_RETRY=1,"
    " MASTER_LOG_FILE='{file}', MASTER_LOG_POS={offset}, MASTER_USE_GTID=no",
    "mysql": "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port},"
    " SOURCE_USER='repl', SOURCE_PASSWORD='replicate', SOURCE_CONNECT_RETRY=1, SOURCE_SSL=0,"
    " SOURCE_LOG_FILE='{file}', SOURCE_LOG_POS={offset}",
}


@dataclass
class Pair:
    """A source, and its replica on a filesystem that can be frozen."""

    source: DatabaseServer
    port: int
    replica: DatabaseHost
    speaks: Dialect
    config: Config

    def status(self, server: DatabaseServer) -> dict[str, Any]:
        """Return a replica's own account of its replication."""
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(self.speaks.status)
            (row,) = cursor.fetchall()
            names = [column[0] for column in cursor.description]
        return dict(zip(names, row, strict=True))

    def runs(self) -> bool:
        """Return whether the replica applies what it receives."""
        return bool(self.status(self.replica.server)[f"{self.speaks.replica}_SQL_Running"] == "Yes")

    def follow_gtid(self, server: DatabaseServer, gtid: str) -> None:
        """Make a MySQL a replica of the source, from that set of transactions on."""
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SET GLOBAL gtid_purged = '{gtid}'")
            cursor.execute(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_USER='repl',"
                f" SOURCE_PORT={self.port}, SOURCE_PASSWORD='{PASSWORD}', SOURCE_SSL=0,"
                " SOURCE_AUTO_POSITION=1"
            )
            cursor.execute("START REPLICA")

    def follow(self, server: DatabaseServer, file: str, offset: int) -> None:
        """Make a server a replica of the source, from there on."""
        with server.connect() as connection, connection.cursor() as cursor:
            name = server.name
            cursor.execute(CHANGE[name].format(port=self.port, file=file, offset=offset))
            cursor.execute(f"START {self.speaks.replica.upper()}")


@pytest.fixture(scope="module", params=[MariaDb, MySql], ids=lambda kind: str(kind.name))
def pair(request: pytest.FixtureRequest, disks: ImageDisks) -> Iterator[Pair]:
    """Return a replica that has caught up."""
    kind: type[DatabaseServer] = request.param
    with ExitStack() as undo:
        undo.callback(disks.delete_volume, VOLUME)  # the next server's is another
        volume = Path(disks.attach(VOLUME, 1))
        root = undo.enter_context(scratch("source"))
        places = Places.make(root, 1)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = [
            *("--skip-networking=0", "--bind-address=127.0.0.1", f"--port={port}"),
            *("--server-id=2", "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0"),
            *(["--gtid-domain-id=7"] if kind is MariaDb else []),
        ]
        source = kind(places.datadir, places.binlogs, places.run_dir, options=options)
        source.install()
        undo.callback(source.stop)
        source.start()
        replica = undo.enter_context(DatabaseHost([volume], kind))
        file, offset = _prepare_source(source)
        with replica.server.connect() as connection, connection.cursor() as cursor:
            for privilege in _privileges(kind):
                cursor.execute(f"GRANT {privilege} ON *.* TO holdstill@localhost")
        url = "http://127.0.0.1:1/queue"
        settings = AgentConfig("recipes-db", f"{url}-c", f"{url}-r", "us-east-1", budget_s=5)
        settings = replace(settings, pause_replication=True)
        config = load(replica.write_agent_config(settings, [["vol-0123456789abcdef0"]]))
        database = Database.connect(config.option_file, 1)
        pair = Pair(source, port, replica, dialect(database), config)
        database.close()
        pair.follow(replica.server, file, offset)
        _await(lambda: _caught_up(pair, replica.server))
        yield pair


def _privileges(kind: type[DatabaseServer]) -> tuple[str, ...]:
    if kind is MariaDb:
        return ("REPLICA MONITOR", "REPLICATION SLAVE ADMIN")
    return ("REPLICATION_SLAVE_ADMIN",)


def _prepare_source(source: DatabaseServer) -> tuple[str, int]:
    """Make account and tables; return where the log stood before the tables.

    The account logs in by the socket once: MySQL then knows its password, and asks for no TLS.
    """
    with source.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER repl@'%' IDENTIFIED BY '{PASSWORD}'")
        cursor.execute("GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
        pymysql.connect(unix_socket=str(source.socket), user="repl", password=PASSWORD).close()
        cursor.execute(source.show_position)
        ((file, offset, *_),) = cursor.fetchall()
        cursor.execute("CREATE DATABASE replicated")
        for table, engine in (("ledger", "InnoDB"), ("old_ledger", "MyISAM")):
            # No key: a row that is applied twice is there twice.
            cursor.execute(f"CREATE TABLE replicated.{table} (n INT) ENGINE={engine}")
        cursor.execute("INSERT INTO replicated.ledger VALUES (0)")
        cursor.execute("INSERT INTO replicated.old_ledger VALUES (0)")
    return str(file), int(offset)


def _rows(server: DatabaseServer) -> list[tuple[int, ...]]:
    """Return how many rows there are, and how many different ones, by table."""
    rows = []
    with server.connect() as connection, connection.cursor() as cursor:
        for table in ("ledger", "old_ledger"):
            try:
                cursor.execute(
                    f"SELECT COUNT(*), COUNT(DISTINCT n), MAX(n) FROM replicated.{table}"  # noqa: S608
                )
            except pymysql.MySQLError:  # not there yet
                return []
            rows += list(cursor.fetchall())
    return rows


def _await(holds: Callable[[], bool], within_s: float = 20) -> None:
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.05)


@contextmanager
def _writing(source: DatabaseServer) -> Iterator[None]:
    """Write to the source, as fast as it goes."""
    ended = threading.Event()
    (_, _, last), _ = _rows(source)

    def write() -> None:
        with source.connect("replicated") as connection, connection.cursor() as cursor:
            number = last
            while not ended.wait(0.001):
                number += 1
                cursor.execute(f"INSERT INTO ledger VALUES ({number})")  # noqa: S608
                cursor.execute(f"INSERT INTO old_ledger VALUES ({number})")  # noqa: S608

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _run(config: Config) -> Iterator[Hold]:
    """Hold nothing yet; let go of everything at the end."""
    hold = Hold(config)
    try:
        yield hold
    finally:
        _end(hold)


def _prepare(hold: Hold) -> PreflightPassed | Failed:
    return hold.preflight(RUN, monotonic_ms() + 20_000, lambda _: True)


def _end(hold: Hold) -> None:
    """Undo what the run left, as the agent does once nothing is held."""
    hold.disconnect()
    hold.tidy()
    for _ in hold.undo(lambda _: True):
        pass


def _sleep(pause_s: float) -> bool:
    time.sleep(pause_s)
    return True


@contextmanager
def _copy(pair: Pair, device: Path) -> Iterator[DatabaseServer]:
    """Start a server on a copy, that replicates from nobody and knows of no transaction."""
    kind = type(pair.replica.server)
    with ExitStack() as undo:
        places = Places.make(undo.enter_context(scratch("copy")), 1)
        undo.callback(disk.unmount, places.mounts[0])
        disk.mount(device, places.mounts[0], copy=True)
        (places.datadir / "auto.cnf").unlink(missing_ok=True)  # MySQL: a server of its own
        # It names the log's files by their whole paths, and those are the original's here.
        index = places.binlogs / "binlog.index"
        original = pair.replica.places.binlogs
        index.write_text(index.read_text().replace(str(original), str(places.binlogs)))
        options = ("--server-id=3", "--skip-slave-start", "--sync-binlog=0")
        server = kind(places.datadir, places.binlogs, places.run_dir, options=options)
        undo.callback(server.kill)
        server.start()
        with server.connect() as connection, connection.cursor() as cursor:
            replica = pair.speaks.replica.upper()
            cursor.execute(f"RESET {replica} ALL")
            cursor.execute("RESET MASTER" if kind is MariaDb else "RESET BINARY LOGS AND GTIDS")
        yield server


@pytest.mark.parametrize("pause", [False, True])
def test_copy_of_a_replica_follows_its_source(pair: Pair, disks: ImageDisks, pause: bool) -> None:
    """From the reported coordinates on it applies what it lacks: no row is lost, none is double."""
    name = f"replica-{pair.source.name}-{pause}"
    with (
        _run(replace(pair.config, pause_replication=pause)) as hold,
        _writing(pair.source),
        watchdog(pair.replica.places.mounts[0]),
    ):
        passed = _prepare(hold)
        assert isinstance(passed, PreflightPassed), passed
        assert pair.runs() is not pause
        held = hold.quiesce(RUN, monotonic_ms() + 20_000)
        assert isinstance(held, QuiesceHeld), held
        disks.snapshot(VOLUME, f"snap-{name}", 1)
        assert hold.release(RUN).intact
        _end(hold)
        assert pair.runs()
    assert held.position
    (stood,) = held.position.sources
    assert (stood.channel, stood.host, stood.port) == ("", "127.0.0.1", pair.port)
    assert held.position.file
    _await(lambda: _rows(pair.replica.server) == _rows(pair.source))
    device = restored(disks, name, "copy")
    try:
        with _copy(pair, device) as copy:
            before = _rows(copy)
            assert before != _rows(pair.source), "nothing was left to apply: the proof is empty"
            if stood.file is None:  # MySQL's workers are at no one place
                assert (pair.source.name, pause) == ("mysql", False)
                pair.follow_gtid(copy, held.position.gtid)
            else:
                assert stood.offset
                pair.follow(copy, stood.file, stood.offset)
            _await(lambda: _caught_up(pair, copy))
            assert _rows(copy) == _rows(pair.source)
    finally:
        disks.delete_volume(f"vol-{name}-copy")


def _caught_up(pair: Pair, server: DatabaseServer) -> bool:
    status = pair.status(server)
    assert not status["Last_SQL_Error"], status["Last_SQL_Error"]
    assert not status["Last_IO_Error"], status["Last_IO_Error"]
    return [row[2] for row in _rows(server)] == [row[2] for row in _rows(pair.source)]


def _statement(pair: Pair, *statements: str) -> Any:
    """Run statements on the source that its log repeats as they are; return the session."""
    connection: Any = pair.source.connect("replicated")
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION binlog_format = STATEMENT")
        for statement in statements:
            cursor.execute(statement)
    return connection


def _once(pair: Pair) -> None:
    if pair.source.name == "mysql":
        pytest.skip("nothing in it depends on the server; STOP and START are tried on both")


def test_killed_agents_successor_starts_replication(pair: Pair) -> None:
    """Killed while all is held: the next agent starts what the dead one stopped."""
    _once(pair)
    script = (
        "import os, sys, time; from pathlib import Path;"
        "from holdstill_agent.config import load; from holdstill_agent.hold import Hold;"
        "hold = Hold(load(Path(sys.argv[1]))); until_ms = time.monotonic_ns() // 10**6 + 20000;"
        "print(hold.preflight('r.1', until_ms, lambda _: True), file=sys.stderr);"
        "print(hold.quiesce('r.1', until_ms), file=sys.stderr);"
        "os.kill(os.getpid(), 9)"
    )
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES)}
    environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with watchdog(pair.replica.places.mounts[0]):
        killed = subprocess.run(
            [sys.executable, "-c", script, str(pair.config.path)],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
    assert killed.returncode == -signal.SIGKILL
    assert "QuiesceHeld" in killed.stderr, killed.stderr
    assert not pair.runs()
    agent = subprocess.Popen(
        [sys.executable, "-m", "holdstill_agent", "--config", str(pair.config.path)], env=environ
    )
    try:
        _await(pair.runs)
    finally:
        agent.terminate()
        agent.wait(20)
    assert not Unfinished(pair.config.state_dir).pending()


def test_refused_run_starts_replication_again(pair: Pair) -> None:
    """What the pre-flight stopped goes on although a later check fails."""
    _once(pair)
    config = replace(pair.config, quiet_patience_ms=300)
    with (
        _run(config) as hold,
        pair.replica.server.connect("replicated") as rival,
        rival.cursor() as cursor,
    ):
        if pair.source.name == "mariadb":
            cursor.execute("INSTALL SONAME 'metadata_lock_info'")
        cursor.execute("LOCK TABLES ledger WRITE")
        failed = _prepare(hold)
        assert isinstance(failed, Failed), failed
        assert failed.code is RefusalCode.LOCK_TIMEOUT, failed
        assert not pair.runs()
        _end(hold)
        assert pair.runs()
    assert not Unfinished(config.state_dir).pending()


def test_only_what_was_stopped_is_started(pair: Pair) -> None:
    """A replica that its operator has stopped stays stopped."""
    _once(pair)
    replica = pair.speaks.replica.upper()
    with pair.replica.server.connect() as admin, admin.cursor() as cursor:
        cursor.execute(f"STOP {replica} SQL_THREAD")
        with _run(pair.config) as hold:
            assert isinstance(_prepare(hold), PreflightPassed)
        assert not pair.runs()
        cursor.execute(f"START {replica} SQL_THREAD")


def test_open_temporary_table_refuses_the_pause(pair: Pair) -> None:
    """The statements after the copy would not find it there; and replication goes on."""
    session = _statement(pair, "CREATE TEMPORARY TABLE passing (a INT)")
    _await(lambda: _caught_up(pair, pair.replica.server))
    with pair.replica.server.connect() as admin, admin.cursor() as cursor:
        _await(lambda: _temporary_tables(cursor) == 1)
    with _run(replace(pair.config, quiet_patience_ms=200)) as hold:
        failed = _prepare(hold)
    session.close()
    assert isinstance(failed, Failed), failed
    assert "temporary tables" in failed.detail
    assert pair.runs()


def _temporary_tables(cursor: Any) -> int:
    cursor.execute("SHOW GLOBAL STATUS LIKE '%_open_temp_tables'")
    return max(int(count) for _, count in cursor.fetchall())


def _is_system(blocker: Blocker) -> bool:
    return blocker.user == "system user" and not blocker.runs and not blocker.may_be_killed(0)


def test_replication_is_never_killed(pair: Pair) -> None:
    """A long statement of the SQL thread is waited for, whatever is configured for queries."""
    with pair.replica.server.connect() as admin, admin.cursor() as cursor:
        kill = "CONNECTION ADMIN" if pair.source.name == "mariadb" else "CONNECTION_ADMIN"
        cursor.execute(f"GRANT {kill} ON *.* TO holdstill@localhost")
    database = Database.connect(pair.config.option_file, 1)
    lookout = Lookout.connect(pair.config.option_file, database, Lock.FTWRL)
    _statement(pair, "INSERT INTO ledger SELECT SLEEP(2.5)").close()
    _await(lambda: any(one.age_ms > 500 and _is_system(one) for one in lookout.look()))
    began = time.monotonic()
    await_quiet(lookout, 1, 10_000, _sleep)
    assert time.monotonic() - began > 0.5
    assert lookout.killed == []
    lookout.close()
    database.close()
    _await(lambda: _rows(pair.replica.server) == _rows(pair.source))
