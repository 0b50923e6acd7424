"""One connection to MySQL or MariaDB, for one run: never reconnected, never used after an error.

A lock lives and dies with its connection. `ping(reconnect=True)` would make a new one without the
lock, on which UNLOCK TABLES "succeeds"; so nothing here reconnects.
"""

import configparser
import os
import socket
from collections.abc import Sequence
from typing import Any, Self

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor
from pymysql.optionfile import Parser

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.errors import LockFailedError, LockTimeoutError, NoAnswerError

_LOCK_WAIT_TIMEOUT = 1205
_NOT_TO_BE_KILLED = (1094, 1957, 1095)  # no such session, no such query (MariaDB), not the owner
_ANSWER_WITHIN_S = 5
_LEAST_WAIT_S = 0.1
_REQUIRE_SSL = "; if the account says REQUIRE SSL, add an ssl-ca line to that file"
_SESSION_LIVES_S = 3600  # a server may be configured to end idle sessions after seconds

# Beyond its own errors PyMySQL lets through what its option file makes it stumble over:
# RuntimeError where the account's plugin is caching_sha2_password and the line neither a socket
# nor TLS (it then wants the package cryptography), ValueError for a port that is no number, or
# for bytes that are not UTF-8.
_CONNECT_ERRORS = (pymysql.MySQLError, OSError, configparser.Error, RuntimeError, ValueError)


class Database:
    """An open session. After any error it is closed: the lock is then certainly given back.

    After 1205 (lock wait timeout) MySQL keeps the global read lock until the connection ends.
    """

    def __init__(self, connection: "Connection[Cursor]") -> None:
        self._connection = connection
        self._until_ms: int | None = None
        self.replicates = False  # this and the next the pre-flight finds out
        self.applies_in_parallel = False
        version, self._session_id = self.row("SELECT VERSION(), CONNECTION_ID()")
        self.version = str(version)
        self.is_mariadb = "mariadb" in self.version.lower()

    @classmethod
    def connect(cls, option_file: str, lock_wait_timeout_s: int) -> Self:
        """Connect as the option file's [client] says; LockFailedError if that fails."""
        if not os.access(option_file, os.R_OK):  # PyMySQL would go on without it
            raise LockFailedError(f"cannot read {option_file}")
        try:
            connection = pymysql.connect(
                read_default_file=option_file,
                autocommit=True,
                connect_timeout=_ANSWER_WITHIN_S,
                read_timeout=lock_wait_timeout_s + _ANSWER_WITHIN_S,
                write_timeout=_ANSWER_WITHIN_S,
                ssl_disabled=_needs_no_tls(option_file),
            )
        except _CONNECT_ERRORS as error:
            hint = _REQUIRE_SSL if "1045" in str(error) and _needs_no_tls(option_file) else ""
            raise LockFailedError(f"cannot connect as {option_file} says: {error}{hint}") from error
        database = cls(connection)
        # The servers' own lock_wait_timeout is a day (MariaDB) or a year (MySQL).
        database.execute(
            f"SET SESSION lock_wait_timeout = {lock_wait_timeout_s}, "
            f"wait_timeout = {_SESSION_LIVES_S}"
        )
        return database

    @property
    def is_open(self) -> bool:
        """Whether no error has closed it yet."""
        return bool(self._connection.open)

    def addresses(self) -> tuple[str, str] | None:
        """Return the session's own address and the server's; None through a Unix socket."""
        connection: Any = self._connection
        line = connection._sock  # noqa: SLF001 - PyMySQL has no call for it
        if line.family == socket.AF_UNIX:
            return None
        return line.getsockname()[0], line.getpeername()[0]

    @property
    def session_id(self) -> int:
        """Return the id by which another session can end this one."""
        return int(self._session_id)

    def execute(self, statement: str) -> Sequence[tuple[Any, ...]]:
        """Return all rows. On any error close the connection and raise what it means."""
        return self._execute(statement)[1]

    def records(self, statement: str) -> Sequence[dict[str, Any]]:
        """Return all rows by their columns' names; errors as `execute`."""
        names, rows = self._execute(statement)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _execute(self, statement: str) -> tuple[list[str], Sequence[tuple[Any, ...]]]:
        try:
            with self._connection.cursor() as cursor:
                self._limit_answer()
                cursor.execute(statement)
                names = [column[0] for column in cursor.description or ()]
                return names, cursor.fetchall()
        except (pymysql.MySQLError, OSError, ValueError) as error:  # ValueError: bytes, no text
            self.close()
            number = error.args[0] if error.args else None
            if number == _LOCK_WAIT_TIMEOUT:
                raise LockTimeoutError(f"{statement}: other sessions kept it waiting") from error
            if isinstance(error.__context__, TimeoutError):
                raise NoAnswerError(f"{statement}: no answer in time") from error
            raise LockFailedError(f"{statement}: {error}") from error

    def kill(self, statement: str) -> bool:
        """Execute a KILL; return False, and keep this session, where its object was not to be had.

        It is gone, or it is MySQL's SYSTEM_USER, which only its like may kill.
        """
        try:
            with self._connection.cursor() as cursor:
                self._limit_answer()
                cursor.execute(statement)
        except (pymysql.MySQLError, OSError) as error:
            if error.args and error.args[0] in _NOT_TO_BE_KILLED:
                return False
            self.close()
            raise LockFailedError(f"{statement}: {error}") from error
        return True

    def row(self, statement: str) -> tuple[Any, ...]:
        """Return the only row; LockFailedError if there is none."""
        rows = self.execute(statement)
        if not rows:
            self.close()
            raise LockFailedError(f"{statement}: no row")
        return rows[0]

    def answer_by(self, until_ms: int) -> None:
        """Give up on answers once `until_ms` has passed: NoAnswerError, and it is closed.

        The server notices that only when it has done with the statement, and keeps the lock until
        then: another session must kill this one.
        """
        self._until_ms = until_ms

    def _limit_answer(self) -> None:
        """PyMySQL has no call for it, but looks at this attribute before it reads each packet."""
        if self._until_ms is not None:
            left_s = (self._until_ms - monotonic_ms()) / 1000
            connection: Any = self._connection
            connection._read_timeout = max(_LEAST_WAIT_S, left_s)  # noqa: SLF001

    def is_same_session(self) -> bool:
        """Return whether this still is the session that connected, and so held its lock."""
        try:
            return self.row("SELECT CONNECTION_ID()") == (self._session_id,)
        except LockFailedError:
            return False

    def end_when_idle(self, after_s: int) -> None:
        """Let the server end the session, and so its lock, once it has said nothing for so long.

        An agent that is stopped while it holds the lock cannot give it back; its server can.
        """
        self.execute(f"SET SESSION wait_timeout = {after_s}")

    def close(self) -> None:
        """End the session, and with it its lock; again is harmless."""
        if self._connection.open:
            self._connection.close()


def _needs_no_tls(option_file: str) -> bool:
    """Return whether the session is through a socket, and nobody asked for TLS on it.

    PyMySQL would speak it there too, and read the machine's certificates for each connection: 33 ms
    of a core instead of 1 (a pre-flight makes three), and 2.5 MiB of the agent's memory.
    """
    options = Parser()
    options.read(option_file)
    names = options.options("client") if options.has_section("client") else []
    return "socket" in names and not any(name.startswith("ssl-") for name in names)
