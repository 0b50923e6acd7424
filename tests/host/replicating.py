"""A source and its replica, both real, and rows that show what was lost or applied twice."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pymysql

from holdstill_agent.config import Config, load
from holdstill_agent.database import Database
from holdstill_agent.replica import Dialect, dialect
from lab.ec2.disks import ImageDisks
from lab.host import AgentConfig, DatabaseHost, disk
from lab.host.mariadb import MariaDb
from lab.host.places import Places, scratch
from lab.host.server import DatabaseServer
from tests.host.quiescing import VOLUME

SOURCE_ID = 2
SMALL = ("--innodb-buffer-pool-size=16M", "--key-buffer-size=1M", "--performance-schema=OFF")
BURST = 10
BURSTS_EVERY_S = 0.1
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

    def caught_up(self, server: DatabaseServer) -> bool:
        """Return whether a replica has every row; AssertionError if it has given up."""
        status = self.status(server)
        assert not status["Last_SQL_Error"], status["Last_SQL_Error"]
        assert not status["Last_IO_Error"], status["Last_IO_Error"]
        return rows(server) == rows(self.source)

    def await_caught_up(self, server: DatabaseServer, patience_s: float = 20) -> None:
        """Wait as long as the replica makes progress: each of its commits waits for the disk."""
        before, until = rows(server), time.monotonic() + patience_s
        while not self.caught_up(server):
            if (now := rows(server)) != before:
                before, until = now, time.monotonic() + patience_s
            assert time.monotonic() < until, self.account(server)
            time.sleep(0.05)

    def account(self, server: DatabaseServer) -> str:
        """Return what a replica that does not catch up says of itself, for a person."""
        told = ("Running", "Behind", "Error", "Log_Pos", "Retrieved_Gtid", "Executed_Gtid")
        status = self.status(server)
        said = {name: status[name] for name in status if any(part in name for part in told)}
        return f"rows {rows(server)}, the source's {rows(self.source)}; {said}"


@contextmanager
def paired(kind: type[DatabaseServer], disks: ImageDisks) -> Iterator[Pair]:
    """Return a replica that has caught up."""
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
            f"--server-id={SOURCE_ID}",
            *("--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0", *SMALL),
            *(["--gtid-domain-id=7"] if kind is MariaDb else []),
        ]
        source = kind(places.datadir, places.binlogs, places.run_dir, options=options)
        source.install()
        undo.callback(source.kill)
        source.start()
        replica = undo.enter_context(DatabaseHost([volume], kind))
        undo.callback(replica.server.kill)  # nobody reads its files again: an orderly end is long
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
        pair.await_caught_up(replica.server)
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


def rows(server: DatabaseServer) -> list[tuple[int, ...]]:
    """Return how many rows there are, and how many different ones, by table."""
    found: list[tuple[int, ...]] = []
    with server.connect() as connection, connection.cursor() as cursor:
        for table in ("ledger", "old_ledger"):
            try:
                cursor.execute(
                    f"SELECT COUNT(*), COUNT(DISTINCT n), MAX(n) FROM replicated.{table}"  # noqa: S608
                )
            except pymysql.MySQLError:  # not there yet
                return []
            found += cursor.fetchall()
    return found


def wait_for(holds: Callable[[], bool], within_s: float = 20) -> None:
    """Wait for a condition; AssertionError if it does not come true."""
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.05)


@contextmanager
def writing(source: DatabaseServer) -> Iterator[None]:
    """Write to the source in bursts, which keep a replica busy that syncs each of its commits.

    As fast as it goes, the source would have ten times the rows that a loaded replica applies.
    """
    ended = threading.Event()
    (_, _, last), _ = rows(source)

    def write() -> None:
        nonlocal last
        with source.connect("replicated") as connection, connection.cursor() as cursor:
            while not ended.wait(BURSTS_EVERY_S):
                for number in range(last + 1, last + 1 + BURST):
                    for table in ("ledger", "old_ledger"):
                        cursor.execute(f"INSERT INTO {table} VALUES ({number})")  # noqa: S608
                last += BURST

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def copied(pair: Pair, device: Path) -> Iterator[DatabaseServer]:
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
        options = ("--server-id=3", "--skip-slave-start", "--sync-binlog=0", *SMALL)
        server = kind(places.datadir, places.binlogs, places.run_dir, options=options)
        undo.callback(server.kill)
        server.start()
        with server.connect() as connection, connection.cursor() as cursor:
            replica = pair.speaks.replica.upper()
            cursor.execute(f"RESET {replica} ALL")
            cursor.execute("RESET MASTER" if kind is MariaDb else "RESET BINARY LOGS AND GTIDS")
        yield server
