"""A real database server whose files are on the frozen filesystem, and nothing else of it is."""

from __future__ import annotations

import secrets
import shutil
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import pymysql

from lab.host.child import Child
from lab.host.errors import ChildError, ServerError
from lab.interrupts import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

USER = "mysql"
AGENT = "holdstill"
BINLOG = "binlog"
READY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 20.0


class DatabaseServer(ABC):
    """One server: `install` once, then `start` and `stop`. Errors are ServerError."""

    name: ClassVar[str]
    label: ClassVar[str]
    """Its name for people."""
    engines: ClassVar[tuple[str, ...]]
    """The storage engines of the load's ledgers; MyISAM last, which a copy holds least of."""
    show_position: ClassVar[str]
    """The statement whose first two columns are the binary log's file and offset."""
    select_gtid: ClassVar[str]
    """The statement that tells which transactions are in the binary log."""
    agent_grants: ClassVar[tuple[str, ...]]
    """What the agent's account is granted: privileges, and where they hold."""

    def __init__(
        self, datadir: Path, binlogs: Path, run_dir: Path, *, options: Sequence[str] = ()
    ) -> None:
        """Keep socket, pid, log and temporary files in `run_dir`, off the frozen filesystem."""
        self.datadir = datadir
        self.binlogs = binlogs
        self.run_dir = run_dir
        self.socket = run_dir / f"{self.name}.sock"
        self.log = run_dir / f"{self.name}.log"
        self.scratch = run_dir / "tmp"
        """Nobody else's: a server that starts deletes every temporary table that it finds there."""
        self._options = options
        self._server: Child | None = None

    @property
    def pid(self) -> int | None:
        """The running server's process id."""
        return self._server.pid if self._server and self._server.running else None

    def install(self) -> None:
        """Make the directories and the system tables."""
        for directory in (self.datadir, self.binlogs):
            directory.mkdir(exist_ok=True)
        self._own_run_dir()
        self._make_system_tables()
        for directory in (self.datadir, self.binlogs):
            for path in (directory, *directory.rglob("*")):
                shutil.chown(path, USER, USER)

    def start(self) -> None:
        """Start the server and wait until it answers; again after it has ended."""
        self._own_run_dir()
        common = (
            f"--datadir={self.datadir}",
            f"--log-bin={self.binlogs / BINLOG}",
            f"--socket={self.socket}",
            f"--pid-file={self.run_dir / f'{self.name}.pid'}",
            f"--log-error={self.log}",
            f"--tmpdir={self.scratch}",
            "--skip-networking",
            "--skip-name-resolve",
            "--server-id=1",
            "--innodb-buffer-pool-size=64M",
            "--key-buffer-size=16M",
        )
        with uninterrupted():
            self._server = Child(self._argv((*common, *self._options)), log=self.log)
        try:
            self._server.wait_until(self.answers, within_s=READY_WITHIN_S)
        except ChildError as error:
            raise ServerError(str(error)) from error

    def stop(self) -> None:
        """Stop the server, by force if need be; again is harmless."""
        if self._server:
            self._server.stop(grace_s=STOPPED_WITHIN_S)

    def kill(self) -> None:
        """Kill the server at once and reap it; it may be started again."""
        if self._server:
            self._server.kill()

    def connect(self, database: str | None = None) -> Connection[Cursor]:
        """Connect as the lab's own root, committing each statement."""
        return connect(self.socket, database)

    def create_agent_account(self, option_file: Path) -> None:
        """Give the agent what it needs and no more, and write its option file, mode 600."""
        password = secrets.token_urlsafe(24)
        account = (AGENT, "localhost")
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("DROP USER IF EXISTS %s@%s", account)
            cursor.execute("CREATE USER %s@%s IDENTIFIED BY %s", (*account, password))
            for grant in self.agent_grants:
                cursor.execute(f"GRANT {grant} TO %s@%s", account)
        option_file.touch(mode=0o600)
        option_file.write_text(
            f"[client]\nuser = {AGENT}\npassword = {password}\nsocket = {self.socket}\n"
        )

    def _own_run_dir(self) -> None:
        self.scratch.mkdir(exist_ok=True)
        self.log.touch()
        for path in (self.run_dir, self.scratch, self.log):
            shutil.chown(path, USER, USER)

    @abstractmethod
    def _make_system_tables(self) -> None:
        """Fill the new data directory."""

    @abstractmethod
    def _argv(self, options: Sequence[str]) -> list[str]:
        """Return the server's whole command line: as USER, and killed when the lab dies."""

    def answers(self) -> bool:
        """Return whether it takes a connection: one that is ending no longer does."""
        try:
            self.connect().close()
        except pymysql.OperationalError:
            return False
        return True


def as_server(*privileges: str) -> list[str]:
    """Return the beginning of a command line that gives up root; `privileges` say what it keeps.

    Before the parent-death signal is set: the kernel clears that when a process changes its
    user, so the server's own `--user` would lose it.
    """
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", *privileges, "--"]


def connect(socket: Path, database: str | None = None) -> Connection[Cursor]:
    """Connect as root through the socket, which the server trusts by the peer's user.

    Without TLS: to load a machine's certificates takes 30 ms of a core, for each connection.
    """
    return pymysql.connect(
        unix_socket=str(socket),
        user="root",
        database=database,
        autocommit=True,
        ssl_disabled=True,
    )
