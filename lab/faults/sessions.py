"""Other clients of the database, with a table of their own: they come into the lock's way."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pymysql

from lab.faults.errors import FaultError

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

    from lab.host import DatabaseServer

DATABASE = "in_the_way"
_SEEN_WITHIN_S = 5.0
_ENDED_WITHIN_S = 5.0
_POLL_S = 0.002


class Session:
    """A client with one session, ended from outside if it must be."""

    def __init__(self, server: DatabaseServer) -> None:
        """Connect as the lab's root, to the table's own database."""
        self._server = server
        self._connection = server.connect(DATABASE)
        self._statement: threading.Thread | None = None

    @property
    def id(self) -> int:
        """The id by which the server and the agent name it."""
        return int(self._connection.thread_id())  # type: ignore[no-untyped-call]

    def run(self, *statements: str) -> None:
        """Execute statements to their end."""
        with self._connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def begin(self, statement: str, seen_as: str) -> None:
        """Begin a long statement; return when the server shows it in a state with these words."""
        self._statement = threading.Thread(target=self._run_out, args=(statement,))
        self._statement.start()
        give_up_at = time.monotonic() + _SEEN_WITHIN_S
        with self._server.connect() as admin:
            while not any(one.id == self.id and seen_as in one.state for one in sessions(admin)):
                if time.monotonic() > give_up_at:
                    raise FaultError(f"{statement}: not seen as {seen_as!r}")
                time.sleep(_POLL_S)

    def end(self) -> None:
        """End the statement and the session, and with it its locks; again is harmless."""
        with suppress(pymysql.MySQLError), self._server.connect() as admin:
            kill(admin, self.id)  # or it has ended by itself, or its server has
        if self._statement:
            self._statement.join(_ENDED_WITHIN_S)
        with suppress(pymysql.MySQLError):
            self._connection.close()

    def _run_out(self, statement: str) -> None:
        with suppress(pymysql.MySQLError, OSError):  # the session is ended under it
            self.run(statement)


def make_table(server: DatabaseServer) -> None:
    """Make the table `stock` anew, with one row; nobody else uses it."""
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
        cursor.execute(f"CREATE DATABASE {DATABASE}")
        cursor.execute(f"USE {DATABASE}")
        cursor.execute("CREATE TABLE stock (id INT PRIMARY KEY, n INT) ENGINE=InnoDB")
        cursor.execute("INSERT INTO stock VALUES (1, 1)")


@dataclass(frozen=True, slots=True)
class Seen:
    """A session as the server shows it."""

    id: int
    user: str
    state: str


def sessions(admin: Connection[Cursor]) -> list[Seen]:
    """Return SHOW PROCESSLIST, which does not hang while the server's files are frozen."""
    with admin.cursor() as cursor:
        cursor.execute("SHOW PROCESSLIST")
        return [Seen(row[0], row[1], row[6] or "") for row in cursor.fetchall()]


def kill(admin: Connection[Cursor], session_id: int) -> None:
    """End a session and its statement, as an administrator would."""
    with admin.cursor() as cursor:
        cursor.execute(f"KILL {session_id}")
