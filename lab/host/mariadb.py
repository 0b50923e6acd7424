"""A real MariaDB whose tables and binary log are on the frozen filesystem, and nothing else is."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pymysql

from lab.host.child import Child, dying_with_parent, run
from lab.host.errors import ChildError, MariaDbError, ProgramError
from lab.interrupts import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

USER = "mysql"
AGENT = "holdstill"
BINLOG = "binlog"
READY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 20.0


class MariaDb:
    """One server: `install` once, then `start` and `stop`. Errors are MariaDbError."""

    def __init__(
        self, datadir: Path, binlogs: Path, run_dir: Path, *, options: Sequence[str] = ()
    ) -> None:
        """Keep socket, pid, log and temporary files in `run_dir`, off the frozen filesystem."""
        self.datadir = datadir
        self.socket = run_dir / "mariadb.sock"
        self.log = run_dir / "mariadb.log"
        self._binlogs = binlogs
        self._run_dir = run_dir
        self._options = options
        self._server: Child | None = None

    def install(self) -> None:
        """Make the directories and the system tables."""
        for directory in (self.datadir, self._binlogs):
            directory.mkdir(exist_ok=True)
            shutil.chown(directory, USER, USER)
        try:
            run(
                _program("mariadb-install-db"),
                "--no-defaults",
                f"--user={USER}",
                f"--datadir={self.datadir}",
                "--skip-test-db",
                "--skip-name-resolve",
                "--innodb-log-file-size=16M",
            )
        except ProgramError as error:
            raise MariaDbError(f"installing: {error}") from error

    def start(self) -> None:
        """Start the server and wait until it answers.

        It gives up root before the parent-death signal is set: the kernel clears that when a
        process changes its user, so the server's own `--user` would lose it.
        """
        scratch = self._run_dir / "tmp"
        scratch.mkdir(exist_ok=True)
        self.log.touch()
        for path in (self._run_dir, scratch, self.log):
            shutil.chown(path, USER, USER)
        server = [
            *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "--"),
            *dying_with_parent([_program("mariadbd")], "KILL"),
            "--no-defaults",
            f"--datadir={self.datadir}",
            f"--log-bin={self._binlogs / BINLOG}",
            f"--socket={self.socket}",
            f"--pid-file={self._run_dir / 'mariadb.pid'}",
            f"--log-error={self.log}",
            f"--tmpdir={scratch}",
            "--skip-networking",
            "--skip-name-resolve",
            "--server-id=1",
            "--gtid-strict-mode=ON",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=16M",
            "--key-buffer-size=16M",
            *self._options,
        ]
        with uninterrupted():
            self._server = Child(server, log=self.log)
        try:
            self._server.wait_until(self._answers, within_s=READY_WITHIN_S)
        except ChildError as error:
            raise MariaDbError(str(error)) from error

    def stop(self) -> None:
        """Stop the server, by force if need be; again is harmless."""
        if self._server:
            self._server.stop(grace_s=STOPPED_WITHIN_S)

    def connect(self, database: str | None = None) -> Connection[Cursor]:
        """Connect as the lab's own root, committing each statement."""
        return connect(self.socket, database)

    def create_agent_account(self, option_file: Path) -> None:
        """Give the agent what it needs and no more, and write its option file, mode 600.

        RELOAD locks, BINLOG MONITOR reads the position, PROCESS names whoever blocks the lock.
        """
        password = secrets.token_urlsafe(24)
        with self.connect() as connection, connection.cursor() as cursor:
            account = (AGENT, "localhost")
            cursor.execute("CREATE OR REPLACE USER %s@%s IDENTIFIED BY %s", (*account, password))
            cursor.execute("GRANT RELOAD, BINLOG MONITOR, PROCESS ON *.* TO %s@%s", account)
        option_file.touch(mode=0o600)
        option_file.write_text(
            f"[client]\nuser = {AGENT}\npassword = {password}\nsocket = {self.socket}\n"
        )

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except pymysql.OperationalError:
            return False
        return True


def connect(socket: Path, database: str | None = None) -> Connection[Cursor]:
    """Connect as root through the socket, which the server trusts by the peer's user."""
    return pymysql.connect(unix_socket=str(socket), user="root", database=database, autocommit=True)


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise MariaDbError(f"{name} not found: apt-get install mariadb-server")
    return found
