"""How the lock is taken: bounded, with the culprits named, and nothing left in the server."""

from contextlib import suppress
from dataclasses import dataclass

from holdstill_agent.blockers import Blocker, described, spared
from holdstill_agent.clock import monotonic_ms
from holdstill_agent.database import Database
from holdstill_agent.errors import HostError, LockTimeoutError, NoAnswerError
from holdstill_agent.locks import Strategy
from holdstill_agent.lookout import Lookout
from holdstill_agent.quiet_moment import ADVICE, require_quiet

# MySQL's FLUSH TABLES WITH READ LOCK waits in three places, in each for lock_wait_timeout: so the
# agent gives up by its own clock, a little before the server, and sees who is in the way by then.
_BEFORE_THE_SERVER_MS = 100

_LOOK_WITHIN_MS = 200  # every writer waits meanwhile

_FLUSH_WITHIN_MS = 5000  # MariaDB's keeps nobody waiting, and writes dirty key caches


@dataclass(frozen=True, slots=True)
class Taken:
    """A lock that is held, since `locked_at_ms`; writers wait since `asked_at_ms`."""

    asked_at_ms: int
    locked_at_ms: int


def take(
    database: Database,
    lookout: Lookout,
    strategy: Strategy,
    wait_ms: int,
    kill_older_than_s: int | None,
) -> Taken:
    """Lock within `wait_ms`; LockTimeoutError names who was in the way, LockFailedError what was.

    After any error the caller must have the session ended: MySQL keeps the global read lock after
    1205 (lock wait timeout) and 1317 (query killed).
    """
    require_quiet(lookout)
    ease_ms = wait_ms + _FLUSH_WITHIN_MS if database.is_mariadb else wait_ms
    asked_at_ms = monotonic_ms()
    try:
        _execute(database, strategy.ease, ease_ms)
        require_quiet(lookout)
        asked_at_ms = monotonic_ms()
        _execute(database, strategy.take, wait_ms)
    except (LockTimeoutError, NoAnswerError) as error:
        waited_ms = monotonic_ms() - asked_at_ms
        blocking = _culprits(lookout, waited_ms)
        lookout.end_watched()
        _free(lookout, blocking or (), kill_older_than_s)
        culprits = _told(blocking, kill_older_than_s)
        raise LockTimeoutError(f"{error}; {waited_ms / 1000:.1f} s; {culprits}") from error
    return Taken(asked_at_ms, monotonic_ms())


def _execute(database: Database, statements: tuple[str, ...], within_ms: int) -> None:
    database.answer_by(monotonic_ms() + within_ms - _BEFORE_THE_SERVER_MS)
    for statement in statements:
        database.execute(statement)


def _culprits(lookout: Lookout, waited_ms: int) -> tuple[Blocker, ...] | None:
    """Return who is in the way since the wait began, while it still waits; None if unseen.

    After it, those that waited behind it would look the same: so there is one look, and no other.
    """
    with suppress(HostError):
        seen = lookout.look(_LOOK_WITHIN_MS)
        return tuple(one for one in seen if one.age_ms * 2 >= waited_ms or one.sleeps)
    return None


def _told(blocking: tuple[Blocker, ...] | None, kill_older_than_s: int | None) -> str:
    if blocking is None:
        return f"who was in the way could not be seen within {_LOOK_WITHIN_MS} ms"
    if not blocking:
        return "nobody seen in the way"
    return f"{ADVICE} {described(blocking)}{spared(blocking, kill_older_than_s)}"


def _free(lookout: Lookout, blocking: tuple[Blocker, ...], kill_older_than_s: int | None) -> None:
    """Kill what may be: MySQL's flush keeps others from a reader's table until the reader ends."""
    with suppress(HostError):
        for one in blocking:
            if kill_older_than_s is not None and one.may_be_killed(kill_older_than_s):
                lookout.kill(one)
