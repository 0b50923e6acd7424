"""Where the binary log stands. Read under the lock and before the freeze: after it, it hangs."""

import re

from holdstill_agent.database import Database
from holdstill_agent.replica import read_sources
from holdstill_protocol.messages import Position

_RENAMED_IN = (8, 2)  # MySQL; 8.4 no longer knows SHOW MASTER STATUS


def read_position(database: Database) -> Position:
    """Read it, a replica's sources' too; LockFailedError without REPLICATION CLIENT.

    (That is BINLOG MONITOR on MariaDB.)
    """
    if database.is_mariadb:
        (gtid,) = database.row("SELECT @@GLOBAL.gtid_binlog_pos")
        rows = database.execute("SHOW MASTER STATUS")
        return _position(database, "mariadb", None, rows[0] if rows else None, gtid)
    (server_uuid,) = database.row("SELECT @@server_uuid")
    major, minor = re.findall(r"\d+", database.version)[:2]
    renamed = (int(major), int(minor)) >= _RENAMED_IN
    rows = database.execute("SHOW BINARY LOG STATUS" if renamed else "SHOW MASTER STATUS")
    gtid = rows[0][4] if rows else ""
    return _position(database, "mysql", server_uuid, rows[0] if rows else None, gtid)


def _position(
    database: Database,
    engine: str,
    server_uuid: str | None,
    row: tuple[object, ...] | None,
    gtid: str,
) -> Position:
    """`row` is None with the binary log off."""
    file, offset = (str(row[0]), int(str(row[1]))) if row else (None, None)
    one_line = (gtid or "").replace("\n", "")  # MySQL breaks a long set into lines
    sources = read_sources(database)
    return Position(engine, database.version, server_uuid, file, offset, one_line, sources)
