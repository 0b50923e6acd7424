"""Which other sessions would keep the lock waiting, or do. Exact where the server tells its locks.

Measured on MariaDB 10.11 and MySQL 9.7: an open transaction between its statements keeps nobody
waiting. On MySQL whoever has a table open does, readers and idle `LOCK TABLES` too; on MariaDB
only what writes, and under backup stages of that only DDL, unsafe tables and commits.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from holdstill_agent.database import Database
from holdstill_agent.statements import without_literals
from holdstill_agent.steadiness import WALL_CLOCK
from holdstill_protocol.messages import Lock

_MOST_NAMED = 3
_MOST_NAME = 80

# INFO in hexadecimal: a statement may hold bytes that are no text. A replica's applier bears the
# name of whoever started it, and its TIME is its lag: its thread's name and its transaction's start
# tell the truth.
_MYSQL_LOCKS = """
SELECT t.PROCESSLIST_ID, IF(ANY_VALUE(c.THREAD_ID) IS NULL, 'system user', t.PROCESSLIST_USER),
    IF(ANY_VALUE(c.THREAD_ID) IS NULL, t.NAME, t.PROCESSLIST_COMMAND),
    t.PROCESSLIST_STATE, HEX(LEFT(t.PROCESSLIST_INFO, 1024)),
    IF(ANY_VALUE(c.THREAD_ID) IS NULL,
        COALESCE(MAX(TIMESTAMPDIFF(
            MICROSECOND, w.APPLYING_TRANSACTION_START_APPLY_TIMESTAMP, NOW(6))) DIV 1000, 0),
        COALESCE(MAX(e.TIMER_WAIT) DIV 1000000000, t.PROCESSLIST_TIME * 1000)),
    MAX(e.EVENT_ID)
FROM performance_schema.threads t
LEFT JOIN performance_schema.threads c ON c.THREAD_ID = t.THREAD_ID AND
    (c.NAME LIKE 'thread/sql/one\\_connection' OR c.NAME LIKE 'thread/thread%pool/%')
LEFT JOIN performance_schema.events_statements_current e
    ON e.THREAD_ID = t.THREAD_ID AND e.NESTING_EVENT_LEVEL = 0 AND e.END_EVENT_ID IS NULL
LEFT JOIN performance_schema.replication_applier_status_by_worker w
    ON w.THREAD_ID = t.THREAD_ID AND w.APPLYING_TRANSACTION <> ''
WHERE t.PROCESSLIST_ID IS NOT NULL AND (
    t.THREAD_ID IN (SELECT OWNER_THREAD_ID FROM performance_schema.metadata_locks
        WHERE OBJECT_TYPE IN ('GLOBAL', 'COMMIT') AND LOCK_TYPE = 'INTENTION_EXCLUSIVE'
        AND LOCK_STATUS = 'GRANTED')
    OR t.THREAD_ID IN (SELECT OWNER_THREAD_ID FROM performance_schema.table_handles
        WHERE OWNER_THREAD_ID IS NOT NULL))
GROUP BY t.THREAD_ID, t.NAME, t.PROCESSLIST_ID, t.PROCESSLIST_USER, t.PROCESSLIST_COMMAND,
    t.PROCESSLIST_STATE, t.PROCESSLIST_INFO, t.PROCESSLIST_TIME"""

_MARIADB_SESSIONS = """
SELECT ID, USER, COMMAND, STATE, HEX(LEFT(INFO, 1024)), ROUND(TIME_MS), QUERY_ID
FROM information_schema.processlist"""

_WITH_A_BACKUP_LOCK = """
WHERE ID IN (SELECT THREAD_ID FROM information_schema.metadata_lock_info
    WHERE LOCK_TYPE = 'Backup lock' AND LOCK_MODE <> '{passed}')"""

_MYSQL_SESSIONS = """
SELECT ID, USER, COMMAND, STATE, HEX(LEFT(INFO, 1024)), TIME * 1000, NULL
FROM information_schema.processlist"""

_MYSQL_STATEMENT = """
SELECT e.EVENT_ID FROM performance_schema.events_statements_current e
JOIN performance_schema.threads t ON t.THREAD_ID = e.THREAD_ID
WHERE t.PROCESSLIST_ID = {session_id} AND e.EVENT_ID = {query_id} AND e.END_EVENT_ID IS NULL"""

_HAS_LOCK_INFO = """SELECT COUNT(*) FROM information_schema.plugins
WHERE PLUGIN_NAME = 'METADATA_LOCK_INFO' AND PLUGIN_STATUS = 'ACTIVE'"""

_RUNNING = frozenset({"Query", "Execute"})
_REPLICATING = frozenset({"Slave_SQL", "Slave_worker"})  # MariaDB; they have a statement or wait

# These wait behind a lock like ours: they keep nobody waiting.
_WAITING = re.compile(
    r"Waiting for (global read lock|commit lock|backup lock|table flush|.*commit.* lock)",
    re.IGNORECASE,
)
_READS = re.compile(
    r"\W*(select|show|desc|describe|explain|help|do|set|use|with|values)\b", re.IGNORECASE
)
_LOCKS_ROWS = re.compile(
    r"\bfor\s+update\b|\block\s+in\s+share\b|\binto\s+outfile\b", re.IGNORECASE
)
_DEFINES = re.compile(
    r"\W*(alter|create|drop|truncate|rename|optimize|repair|analyze|lock|backup)\b", re.IGNORECASE
)

# MySQL's TIME counts from the statement's start on the wall clock, which SET TIMESTAMP moves too.
_NO_EVENTS = "performance_schema does not show the statement: it, or its consumer, is off"
_NOT_STEADY = "the clock was set, or the agent started, less than that ago"


class Sight(StrEnum):
    """How well the server lets its locks be seen, for the pre-flight's line."""

    LOCKS = "every session's locks are seen"
    STATEMENTS = "only running statements are seen, not who sleeps under LOCK TABLES"


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session that keeps the lock waiting. `age_ms`: its statement's, or of its sleep.

    `statement` is its beginning without literals, empty while it sleeps. `query_id` is this
    statement's alone: MariaDB's own, on MySQL the event's, of this session; None where it does not
    tell. `certain_ms` is what of the age no clock that was set can have made, `doubt` why not all.
    """

    session_id: int
    user: str
    command: str
    state: str
    age_ms: int
    statement: str
    query_id: int | None = None
    certain_ms: int = 0
    doubt: str = ""

    @property
    def runs(self) -> bool:
        """Return whether it runs a client's statement: else it sleeps, or is the server's own."""
        return self.command in _RUNNING

    @property
    def sleeps(self) -> bool:
        """Return whether it holds a lock between its statements."""
        return self.command == "Sleep"

    def may_be_killed(self, older_than_s: int) -> bool:
        """Return whether it certainly is a client's query of that age."""
        return self._is_query(older_than_s) and self.certain_ms >= older_than_s * 1000

    def is_in_doubt(self, older_than_s: int) -> bool:
        """Return whether it would be killed if its age were certain."""
        return self._is_query(older_than_s) and self.certain_ms < older_than_s * 1000

    def _is_query(self, older_than_s: int) -> bool:
        """Return whether it is a client's query that looks so old: never the server's own."""
        system = self.user in {"", "system user", "event_scheduler"}
        return self.runs and not system and self.age_ms >= older_than_s * 1000

    def __str__(self) -> str:
        what = ", ".join(filter(None, (self.state or self.command, self.statement)))
        return f"session {self.session_id} ({self.user}): {self.age_ms // 1000} s, {what}"


def described(blockers: Sequence[Blocker]) -> str:
    """Return them for a person, the oldest first, in at most a few hundred characters."""
    oldest = sorted(blockers, key=lambda one: -one.age_ms)
    named = [str(one) for one in oldest[:_MOST_NAMED]]
    more = len(oldest) - len(named)
    return "; ".join([*named, f"and {more} more"] if more else named)


def spared(blockers: Sequence[Blocker], kill_older_than_s: int | None) -> str:
    """Return why some were not killed although they look old enough; empty where none was."""
    if kill_older_than_s is None:
        return ""
    doubtful = [one for one in blockers if one.is_in_doubt(kill_older_than_s)]
    if not doubtful:
        return ""
    sessions = ", ".join(str(one.session_id) for one in doubtful[:_MOST_NAMED])
    doubts = ", ".join(sorted({one.doubt for one in doubtful}))
    return f"; not killed (session {sessions}), for its age is not certain: {doubts}"


def still_runs(database: Database, blocker: Blocker) -> bool:
    """Return whether a MySQL session still runs the statement that it was seen with."""
    if blocker.query_id is None:
        return False
    known = {"session_id": blocker.session_id, "query_id": blocker.query_id}
    return bool(database.execute(_MYSQL_STATEMENT.format(**known)))


def sight(database: Database) -> Sight:
    """Return whether the server tells who holds which lock: it may have that off."""
    if database.is_mariadb:
        (tells,) = database.row(_HAS_LOCK_INFO)
    else:
        (tells,) = database.row("SELECT @@GLOBAL.performance_schema")
    return Sight.LOCKS if int(tells) else Sight.STATEMENTS


def find_blockers(database: Database, lock: Lock, seen: Sight) -> tuple[Blocker, ...]:
    """Return who holds what `lock` would wait for, or runs what may hold it."""
    if seen is Sight.LOCKS:
        return _read(database, _locks(database.is_mariadb, lock))
    if not database.is_mariadb:  # any statement may have a table open
        return tuple(one for one in _read(database, _MYSQL_SESSIONS) if one.runs)
    return tuple(one for one in _read(database, _MARIADB_SESSIONS, lock) if _is_busy(one))


def _locks(is_mariadb: bool, lock: Lock) -> str:
    if not is_mariadb:
        return _MYSQL_LOCKS
    # A stage is blocked by DDL and by writes to tables without transactions; FTWRL by all writes.
    passed = "MDL_BACKUP_TRANS_DML" if lock is Lock.BACKUP_STAGE else ""
    return _MARIADB_SESSIONS + _WITH_A_BACKUP_LOCK.format(passed=passed)


def _is_busy(session: Blocker) -> bool:
    return session.command in _RUNNING | _REPLICATING and bool(session.statement)


def _read(database: Database, statement: str, lock: Lock | None = None) -> tuple[Blocker, ...]:
    """`lock`: judge by the statement alone what may hold one that this lock waits for."""
    rows = database.execute(statement)
    # After the ages were read: a clock that was set before them is noticed.
    steady_ms = None if database.is_mariadb else WALL_CLOCK.steady_ms()
    blockers = []
    for session_id, user, command, state, info, looks_ms, query_id in rows:
        text = bytes.fromhex(info or "").decode("utf-8", "replace")
        if _WAITING.match(state or ""):
            continue
        if lock and not _may_hold(text, lock):
            continue
        age_ms = max(0, int(looks_ms or 0))
        certain_ms, doubt = _certainty(age_ms, query_id, steady_ms)
        blockers.append(
            Blocker(
                int(session_id),
                _short(user),
                _short(command),
                _short(state),
                age_ms,
                without_literals(text),
                query_id,
                certain_ms,
                doubt,
            )
        )
    return tuple(blockers)


def _certainty(age_ms: int, query_id: int | None, steady_ms: int | None) -> tuple[int, str]:
    """Return how much of an age is certain, and why not all is.

    MariaDB's TIME_MS is by CLOCK_MONOTONIC. MySQL's TIMER_WAIT is by CLOCK_REALTIME (9.7: a clock
    that was set by an hour made it an hour more): believed for as long as that was not set.
    """
    if steady_ms is None:
        return age_ms, ""
    if query_id is None:
        return 0, _NO_EVENTS
    return (age_ms, "") if age_ms <= steady_ms else (steady_ms, _NOT_STEADY)


def _may_hold(text: str, lock: Lock) -> bool:
    """Return whether a MariaDB statement may hold what this lock waits for, by its words."""
    if lock is Lock.BACKUP_STAGE:
        return bool(_DEFINES.match(text))
    return not _READS.match(text) or bool(_LOCKS_ROWS.search(text))


def _short(text: object) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", str(text or ""))[:_MOST_NAME]
