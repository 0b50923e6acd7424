"""Where a replica stands in what its sources wrote, and whether it is one.

The servers name the same columns differently: MariaDB and MySQL before 8.0.22 say master and
slave, MySQL since then source and replica, and 8.4 knows nothing else.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdstill_agent import grants
from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError
from holdstill_protocol.messages import SourcePosition

_RENAMED_IN = (8, 0, 22)
_MOST_READS = 5

# Who never replicated needs no privilege to be asked; a replica needs one of these on MariaDB.
_MONITORS = ("REPLICA MONITOR", "SLAVE MONITOR", "REPLICATION SLAVE ADMIN", "SUPER")


@dataclass(frozen=True, slots=True)
class Channel:
    """One line of replication. `runs`: its SQL thread applies what the source wrote."""

    name: str
    runs: bool
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a server speaks of replication."""

    status: str
    source: str
    replica: str
    channel: str
    named: str
    """The part of START and STOP that names a channel, before or behind SQL_THREAD."""

    def command(self, verb: str, channel: str) -> str:
        """Return the statement that starts or stops a channel's SQL thread."""
        quoted = "'" + channel.replace("\\", "\\\\").replace("'", "''") + "'"
        return f"{verb} " + self.named.format(quoted)


_MARIADB = Dialect(
    "SHOW ALL SLAVES STATUS", "Master", "Slave", "Connection_name", "SLAVE {} SQL_THREAD"
)
_MYSQL = Dialect(
    "SHOW REPLICA STATUS",
    "Source",
    "Replica",
    "Channel_Name",
    "REPLICA SQL_THREAD FOR CHANNEL {}",
)
_OLD_MYSQL = Dialect(
    "SHOW SLAVE STATUS", "Master", "Slave", "Channel_Name", "SLAVE SQL_THREAD FOR CHANNEL {}"
)


def dialect(database: Database) -> Dialect:
    """Return how this server speaks."""
    if database.is_mariadb:
        return _MARIADB
    version = tuple(int(number) for number in re.findall(r"\d+", database.version)[:3])
    return _MYSQL if version >= _RENAMED_IN else _OLD_MYSQL


def find_out(database: Database, *, pauses: bool) -> bool:
    """Note and return whether this is a replica; CheckFailedError if it cannot be told where.

    MariaDB does not tell without a privilege; but its counters show who has ever replicated.
    `pauses`: whether its SQL threads will be stopped.
    """
    if database.is_mariadb:
        (applied,) = database.row("SELECT @@GLOBAL.gtid_slave_pos")
        running = dict(database.execute("SHOW GLOBAL STATUS LIKE 'Slaves_running'"))
        if not applied and not int(running.get("Slaves_running", 0)):
            if not grants.may(database, *_MONITORS):
                return False
        else:
            why = "this is a replica, and the account may not read where its source stands"
            grants.require(database, why, *_MONITORS)
    database.replicates = bool(read_channels(database))
    if database.replicates and not database.is_mariadb:
        database.applies_in_parallel = _applies_in_parallel(database)
        if database.applies_in_parallel and not pauses and not _has_gtids(database):
            raise CheckFailedError(
                "this replica applies in parallel and without GTIDs: where its source stands is"
                " certain only while it is stopped; set pause_replication = true, or gtid_mode = ON"
            )
    return database.replicates


def _applies_in_parallel(database: Database) -> bool:
    found = database.execute(
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN"
        " ('slave_parallel_workers', 'replica_parallel_workers')"
    )
    return any(int(count) for _, count in found)


def _has_gtids(database: Database) -> bool:
    (mode,) = database.row("SELECT @@GLOBAL.gtid_mode")
    return str(mode) == "ON"


def read_sources(database: Database) -> tuple[SourcePosition, ...]:
    """Return where each source stands, none on a server that is no replica.

    Read until two readings agree: under the lock nothing more is committed, but a thread whose
    commit came just before it may still be writing down how far it got.
    """
    if not database.replicates:
        return ()
    before = _positions(database)
    for _ in range(_MOST_READS):
        after = _positions(database)
        if after == before:
            break
        before = after
    return before


def read_channels(database: Database) -> tuple[Channel, ...]:
    """Return all channels that have a source."""
    speaks = dialect(database)
    rows = database.records(speaks.status)
    gtid = ""
    if rows and database.is_mariadb:
        (gtid,) = database.row("SELECT @@GLOBAL.gtid_slave_pos")
    return tuple(_channels(speaks, rows, gtid, in_parallel=database.applies_in_parallel))


def open_temporary_tables(database: Database) -> int:
    """Return how many temporary tables the SQL threads have open, from statements."""
    found = database.execute(
        "SHOW GLOBAL STATUS WHERE Variable_name IN"
        " ('Slave_open_temp_tables', 'Replica_open_temp_tables')"
    )
    return max((int(count) for _, count in found), default=0)


def _positions(database: Database) -> tuple[SourcePosition, ...]:
    return tuple(channel.position for channel in read_channels(database))


def _channels(
    speaks: Dialect, rows: Sequence[Mapping[str, Any]], gtid: str, *, in_parallel: bool
) -> list[Channel]:
    """MySQL's parallel workers leave gaps, and their file and offset lag behind till a checkpoint.

    Four rows were applied twice from there (9.7, 4 workers); its GTID set, or a stop, is exact.
    """
    channels = []
    for row in rows:
        host = row[f"{speaks.source}_Host"]
        if not host or host == "<NULL>":  # group replication's own channels
            continue
        name = row.get(speaks.channel) or ""
        runs = row[f"{speaks.replica}_SQL_Running"] == "Yes"
        file = None if runs and in_parallel else row[f"Relay_{speaks.source}_Log_File"] or None
        offset = int(row[f"Exec_{speaks.source}_Log_Pos"]) if file else None
        position = SourcePosition(name, host, int(row[f"{speaks.source}_Port"]), file, offset, gtid)
        channels.append(Channel(name, runs, position))
    return channels
