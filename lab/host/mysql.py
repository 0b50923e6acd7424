"""MySQL, of the newest series that Debian has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.host.child import dying_with_parent, run
from lab.host.mysql_tree import mysql_tree
from lab.host.server import DatabaseServer, as_server

if TYPE_CHECKING:
    from collections.abc import Sequence


class MySql(DatabaseServer):
    """A MySQL server, with GTIDs, and with the accounts' default plugin caching_sha2_password."""

    name = "mysql"
    label = "MySQL"
    engines = ("innodb", "myisam")
    show_position = "SHOW BINARY LOG STATUS"
    select_gtid = "SELECT @@GLOBAL.gtid_executed"
    # FLUSH_TABLES locks, REPLICATION CLIENT reads the position; PROCESS and these tables name
    # whoever blocks the lock.
    agent_grants = (
        "FLUSH_TABLES, REPLICATION CLIENT ON *.*",
        "PROCESS ON *.*",
        "SELECT ON performance_schema.*",
    )

    def _make_system_tables(self) -> None:
        made = mysql_tree().system_tables
        run("cp", "--recursive", "--sparse=always", f"{made}/.", str(self.datadir))

    def _argv(self, options: Sequence[str]) -> list[str]:
        # The cache may be below root's home, which the server's own user cannot enter: this
        # lets it read what root can, and nothing more.
        readable = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
        return [
            *as_server(*readable),
            *dying_with_parent(mysql_tree().argv(), "KILL"),
            "--mysqlx=OFF",
            "--gtid-mode=ON",
            "--enforce-gtid-consistency=ON",
            # As a replica would have it, a row's every column: 400 KB for each of the churn's
            # UPDATEs, which are 100 a second. MIXED is MariaDB's default.
            "--binlog-format=MIXED",
            *options,
        ]
