"""MariaDB, as the distribution packages it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from lab.host.child import dying_with_parent, run
from lab.host.errors import ProgramError, ServerError
from lab.host.server import USER, DatabaseServer, as_server

if TYPE_CHECKING:
    from collections.abc import Sequence


class MariaDb(DatabaseServer):
    """A MariaDB server, from the package mariadb-server."""

    name = "mariadb"
    label = "MariaDB"
    engines = ("innodb", "aria", "myisam")
    show_position = "SHOW MASTER STATUS"
    select_gtid = "SELECT @@GLOBAL.gtid_binlog_pos"
    # RELOAD locks, BINLOG MONITOR reads the position, PROCESS names whoever blocks the lock.
    agent_grants = ("RELOAD, BINLOG MONITOR, PROCESS ON *.*",)

    def _make_system_tables(self) -> None:
        try:
            run(
                _program("mariadb-install-db"),
                "--no-defaults",
                f"--user={USER}",
                f"--datadir={self.datadir}",
                f"--tmpdir={self.scratch}",
                "--skip-test-db",
                "--skip-name-resolve",
                "--innodb-log-file-size=16M",
            )
        except ProgramError as error:
            raise ServerError(f"installing: {error}") from error

    def _argv(self, options: Sequence[str]) -> list[str]:
        return [
            *as_server(),
            *dying_with_parent([_program("mariadbd")], "KILL"),
            "--no-defaults",
            "--gtid-strict-mode=ON",
            "--innodb-log-file-size=16M",
            *options,
        ]


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ServerError(f"{name} not found: apt-get install mariadb-server")
    return found
