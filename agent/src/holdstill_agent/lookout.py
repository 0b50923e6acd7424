"""A second session, opened before the lock: it sees who is in the way, and ends what hangs.

The locking session cannot do that itself: it waits for an answer, and a server notices that a
client is gone only once the statement is done. The account may kill its own sessions without any
privilege.
"""

from contextlib import suppress
from typing import Self

from holdstill_agent.blockers import Blocker, Sight, find_blockers, sight
from holdstill_agent.clock import monotonic_ms
from holdstill_agent.database import Database
from holdstill_agent.errors import HostError
from holdstill_protocol.messages import Lock

_LOOK_WITHIN_MS = 1000  # it takes 1 to 5
_KILL_WITHIN_MS = 500  # writers wait meanwhile


class Lookout:
    """Looks for who blocks the lock of `watched`, and can end that session's life."""

    def __init__(self, database: Database, watched: Database, lock: Lock) -> None:
        self._database = database
        self._watched_id = watched.session_id
        self._lock = lock
        self.sight: Sight | None = None
        self.killed: list[Blocker] = []

    @classmethod
    def connect(cls, option_file: str, watched: Database, lock: Lock) -> Self:
        """Connect by the same account; LockFailedError if that fails."""
        return cls(Database.connect(option_file, 1), watched, lock)

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
        own = {self._database.session_id, self._watched_id}
        return tuple(one for one in found if one.session_id not in own)

    def kill(self, blocker: Blocker) -> None:
        """End a blocker's statement, not its session, if it may be; see `killed`.

        On MariaDB exactly that statement; MySQL ends what the session runs by now. LockFailedError
        where this session has ended.
        """
        known = f"ID {blocker.query_id}" if blocker.query_id else str(blocker.session_id)
        self._database.answer_by(monotonic_ms() + _KILL_WITHIN_MS)
        if self._database.kill(f"KILL QUERY {known}"):
            self.killed.append(blocker)

    def end_watched(self) -> None:
        """End the watched session whatever it does, and with it its lock. Never raises."""
        with suppress(HostError):
            self._database.answer_by(monotonic_ms() + _KILL_WITHIN_MS)
            self._database.kill(f"KILL CONNECTION {self._watched_id}")

    def close(self) -> None:
        """End this session; again is harmless."""
        self._database.close()
