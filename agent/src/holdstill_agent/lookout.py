"""Two sessions beside the lock's, opened before it: one sees who blocks, one ends what hangs.

The locking session cannot do that itself: it waits for an answer, and a server notices that a
client is gone only once the statement is done. The account may kill its own sessions without any
privilege.

They are two because a look may take too long on a loaded server, and is of no use after that; to
connect anew then would be worse than slow: those who wait for the lock may have taken all of
max_connections, and a server that has started anew has given the id to another session.
"""

from contextlib import suppress
from typing import Self

from holdstill_agent.blockers import Blocker, Sight, find_blockers, sight, still_runs
from holdstill_agent.clock import monotonic_ms
from holdstill_agent.database import Database
from holdstill_agent.errors import HostError, LockFailedError
from holdstill_protocol.messages import Lock

_LOOK_WITHIN_MS = 1000  # it takes 1 to 5
_KILL_WITHIN_MS = 500  # writers wait meanwhile


class Lookout:
    """Looks for who blocks the lock of `watched`, and can end that session's life."""

    def __init__(self, database: Database, ender: Database, watched: Database, lock: Lock) -> None:
        """Look by `database`; `ender` kills and does nothing else."""
        self._database = database
        self._ender = ender
        self._watched_id = watched.session_id
        self._lock = lock
        self.sight: Sight | None = None
        self.killed: list[Blocker] = []

    @classmethod
    def connect(cls, option_file: str, watched: Database, lock: Lock) -> Self:
        """Connect twice by the same account; LockFailedError if that fails."""
        database = Database.connect(option_file, 1)
        try:
            return cls(database, Database.connect(option_file, 1), watched, lock)
        except LockFailedError:
            database.close()
            raise

    def look(self, within_ms: int = _LOOK_WITHIN_MS) -> tuple[Blocker, ...]:
        """Return who blocks; HostError if that cannot be seen.

        Who holds while it sleeps must be seen so twice: the tables of locks and of sessions are
        read one after the other, and a statement that ends in between looks asleep with a lock (7
        of 400 looks at a busy MySQL 9.7, never twice in a row).
        """
        self._database.answer_by(monotonic_ms() + within_ms)
        found = self._look()
        if any(one.sleeps for one in found):
            asleep = {one.session_id for one in self._look() if one.sleeps}
            found = tuple(one for one in found if not one.sleeps or one.session_id in asleep)
        return found

    def _look(self) -> tuple[Blocker, ...]:
        self.sight = self.sight or sight(self._database)
        found = find_blockers(self._database, self._lock, self.sight)
        own = {self._database.session_id, self._ender.session_id, self._watched_id}
        return tuple(one for one in found if one.session_id not in own)

    def kill(self, blocker: Blocker) -> None:
        """End a blocker's statement, not its session, if it may be and still runs; see `killed`.

        On MariaDB exactly that statement. MySQL ends what the session runs by now, so it is looked
        at just before. LockFailedError where a session of this has ended.
        """
        until_ms = monotonic_ms() + _KILL_WITHIN_MS
        self._database.answer_by(until_ms)
        self._ender.answer_by(until_ms)
        if self._ender.is_mariadb:
            statement = f"KILL QUERY ID {blocker.query_id}"
        elif still_runs(self._database, blocker):
            statement = f"KILL QUERY {blocker.session_id}"
        else:
            return
        if self._ender.kill(statement):
            self.killed.append(blocker)

    def end_watched(self) -> None:
        """End the watched session whatever it does, and with it its lock. Never raises.

        Where the session that is kept for it has ended, the other one tries.
        """
        for session in (self._ender, self._database):
            with suppress(HostError):
                if session.is_open:
                    session.answer_by(monotonic_ms() + _KILL_WITHIN_MS)
                    session.kill(f"KILL CONNECTION {self._watched_id}")
                    return

    def close(self) -> None:
        """End both sessions; again is harmless."""
        self._database.close()
        self._ender.close()
