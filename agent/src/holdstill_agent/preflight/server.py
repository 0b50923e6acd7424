"""What must be so in the database before it is locked: its rights, its session, its files, its log.

Each is asked by SHOW or SELECT alone, on the session that will lock.
"""

import os
import re
from collections.abc import Mapping, Sequence

from holdstill_agent.config import Config
from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError, LockFailedError
from holdstill_agent.locks import require_permitted
from holdstill_agent.mountinfo import Mounts
from holdstill_agent.position import read_position
from holdstill_agent.preflight.tablespaces import tablespaces_elsewhere
from holdstill_protocol.host import READY_FOR_MS

# SHOW leaves out what a server does not know, where SELECT @@name would fail.
_DIRECTORIES = (
    *("datadir", "log_bin_basename", "log_bin_index", "relay_log_basename", "relay_log_index"),
    *("relay_log_info_file", "innodb_log_group_home_dir", "innodb_data_home_dir"),
    *("innodb_undo_directory", "innodb_doublewrite_dir", "aria_log_dir_path"),
    *("rocksdb_datadir", "rocksdb_wal_dir"),
)
_LISTS = ("innodb_directories", "innodb_data_file_path")  # several paths each, with ; between
_WHERE_IT_WRITES = f"SHOW GLOBAL VARIABLES WHERE Variable_name IN {(*_DIRECTORIES, *_LISTS)}"
_LOG_VARIABLES = ("general_log", "log_output", "general_log_file", "datadir")
_GENERAL_LOG = f"SHOW GLOBAL VARIABLES WHERE Variable_name IN {_LOG_VARIABLES}"

_NAMED = 20  # variables are fewer; a schema can have thousands of DATA DIRECTORY
_DENIED = (1044, 1142, 1227)  # of a database, of a table, of a global privilege
_SIZE = re.compile(r":\d+[KMG]?(:.*)?$", re.IGNORECASE)  # ibdata1:12M:autoextend:max:1G


def require_privileges(config: Config, database: Database) -> str:
    """Raise CheckFailedError with the GRANT that is missing, if the account could not lock."""
    (account,) = database.row("SELECT CURRENT_USER()")
    user, _, host = str(account).rpartition("@")
    grant = f"GRANT RELOAD, REPLICATION CLIENT, PROCESS ON *.* TO '{user}'@'{host}'"
    try:
        require_permitted(config.lock, database)
    except LockFailedError as error:
        raise _denied(error, f"'{user}'@'{host}' may not lock (RELOAD)", grant) from error
    try:
        position = read_position(database)
    except LockFailedError as error:
        what = f"'{user}'@'{host}' may not read the binary log's position (REPLICATION CLIENT)"
        raise _denied(error, what, grant) from error
    log = f"{position.file}:{position.offset}" if position.file else "off"
    return f'may lock by "{config.lock}"; binary log {log}'


def _denied(error: LockFailedError, what: str, grant: str) -> Exception:
    """Return the error with the GRANT to give, or as it is when it says something else."""
    told = error.__cause__.args if error.__cause__ else ()
    return CheckFailedError(f"{what}: {grant}") if told and told[0] in _DENIED else error


def require_lasting_session(config: Config, database: Database) -> str:
    """Raise CheckFailedError if the server would end the session, and its lock, too early.

    The session has asked for an hour; `--maximum-wait-timeout`, or a proxy, may give it less.
    """
    (idle_s,) = database.row("SELECT @@SESSION.wait_timeout")
    needed_s = (READY_FOR_MS + config.budget_ms) // 1000
    if int(idle_s) < needed_s:
        raise CheckFailedError(
            f"the server ends an idle session after {idle_s} s, and its lock with it; a run needs"
            f" {needed_s}: raise maximum-wait-timeout, or connect past the proxy"
        )
    return f"may be idle for {idle_s} s"


def require_files_on_mounts(config: Config, database: Database, mounted: Mounts) -> str:
    """Raise CheckFailedError for every path that the server writes to and that is on no mount.

    Links are followed as far as this user is permitted to.
    """
    variables = dict(database.execute(_WHERE_IT_WRITES))
    datadir = str(variables["datadir"])
    elsewhere = [
        f"{variable}: {path}"
        for variable, path in _places(variables, datadir)
        if not _is_held(config, path, mounted)
    ]
    elsewhere += [
        f"tablespace: {path}"
        for path in tablespaces_elsewhere(database, datadir)
        if not _is_held(config, path, mounted)
    ]
    if elsewhere:
        raise CheckFailedError(
            f"{_some(elsewhere)} is on none of [[mounts]], and the snapshot would be half a"
            " database: add its mount, or move it onto one of them"
        )
    return f"{datadir}, the tablespaces and the logs are on the mounts"


def _some(found: Sequence[str]) -> str:
    """Name as many as a person reads."""
    left = len(found) - _NAMED
    return ", ".join(found[:_NAMED]) + (f" and {left} more" if left > 0 else "")


def _places(variables: Mapping[str, str], datadir: str) -> list[tuple[str, str]]:
    """Return the variables with the paths that they name, joined as the server joins them."""
    home = os.path.join(datadir, variables.get("innodb_data_home_dir") or "")  # noqa: PTH118
    named = [(name, datadir, variables.get(name, "")) for name in _DIRECTORIES]
    named += [
        ("innodb_directories", datadir, path.strip(" \"'"))
        for path in variables.get("innodb_directories", "").split(";")
    ]
    named += [
        ("innodb_data_file_path", home, _SIZE.sub("", entry.strip()))
        for entry in variables.get("innodb_data_file_path", "").split(";")
    ]
    return [(name, os.path.join(base, path)) for name, base, path in named if path]  # noqa: PTH118


def _is_held(config: Config, path: str, mounted: Mounts) -> bool:
    return any(mounted.freeze_holds(mount.path, path) for mount in config.mounts)


def require_no_general_log(config: Config, database: Database, mounted: Mounts) -> str:
    """Raise CheckFailedError if the general log would be written to while frozen.

    As a file or as a table it is written before each statement is done, SELECT 1 too: all sessions
    hang, not only those that write. The slow log is written after the answer (MariaDB 10.11).
    """
    log = {name: str(value) for name, value in database.execute(_GENERAL_LOG)}
    outputs = log.get("log_output", "").upper().split(",")
    if log.get("general_log", "").upper() != "ON" or "NONE" in outputs:
        return "off"
    datadir = log["datadir"]
    file = os.path.join(datadir, log["general_log_file"])  # noqa: PTH118 - as the server joins
    places = [place for output, place in (("FILE", file), ("TABLE", datadir)) if output in outputs]
    for place in places:
        if _is_held(config, place, mounted):
            raise CheckFailedError(
                f"the general log is on and written to {place}, which is to be frozen: every"
                " statement would hang; SET GLOBAL general_log = OFF, or move it elsewhere"
            )
    return f"on, in {' and '.join(places)}"
