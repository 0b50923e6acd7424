"""Other sessions beside the agent's: one that is in its way, and writers that feel the lock."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self

import pymysql

from lab.host.server import DatabaseServer

APP = "app"  # an ordinary account: MySQL lets only its like kill root


def create_app(server: DatabaseServer) -> None:
    """Create the rivals' account."""
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER {APP}@localhost IDENTIFIED BY '{APP}'")
        cursor.execute(f"GRANT ALL ON shop.* TO {APP}@localhost")


@contextmanager
def rival(server: DatabaseServer, *statements: str | bytes) -> Iterator[int]:
    """Let another session run these, the last without waiting for it; yield the session's id."""
    connection: Any = pymysql.connect(
        unix_socket=str(server.socket), user=APP, password=APP, database="shop", autocommit=True
    )
    *first, last = statements
    with connection.cursor() as cursor:
        for statement in first:
            cursor.execute(statement)

    def run() -> None:
        with suppress(pymysql.MySQLError, OSError), connection.cursor() as cursor:
            cursor.execute(last)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        if isinstance(last, bytes):  # MySQL's processlist fails on what is no text
            time.sleep(0.3)
        elif "SLEEP" in last:
            _await_sleep(server, connection.thread_id())
        else:
            thread.join()
        yield connection.thread_id()
    finally:
        with server.connect() as admin, admin.cursor() as cursor, suppress(pymysql.MySQLError):
            cursor.execute(f"KILL {connection.thread_id()}")
        thread.join()


def _await_sleep(server: DatabaseServer, session_id: int) -> None:
    with server.connect() as admin, admin.cursor() as cursor:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            cursor.execute("SELECT ID, STATE FROM information_schema.processlist")
            if (session_id, "User sleep") in cursor.fetchall():
                return
            time.sleep(0.01)
    raise AssertionError("the rival's statement did not begin")


class Stall:
    """The longest time between two writes, by table."""

    def __init__(self, server: DatabaseServer, tables: Sequence[str]) -> None:
        self.longest_s = dict.fromkeys(tables, 0.0)
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(server.connect("shop"), table))
            for table in tables
        ]

    def _write(self, connection: Any, table: str) -> None:
        with connection.cursor() as cursor:
            last = time.monotonic()
            while not self._ended.wait(0.02):
                cursor.execute(f"INSERT INTO {table} (v) VALUES (1)")  # noqa: S608 - ours
                now = time.monotonic()
                self.longest_s[table] = max(self.longest_s[table], now - last)
                last = now
        connection.close()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
