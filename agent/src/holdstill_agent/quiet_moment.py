"""The long-query guard: before the lock, wait until nobody would keep it waiting.

A lock that waits makes every writer wait. On MySQL it is worse when it fails: FLUSH TABLES, once
begun, keeps whoever wants a table from it until the reader that has that table open is done, even
after the flush itself gave up (2.6 s of a 4 s SELECT, measured on 9.7). So it is not begun.
"""

from collections.abc import Callable, Sequence

from holdstill_agent.blockers import Blocker, described, spared
from holdstill_agent.clock import monotonic_ms
from holdstill_agent.errors import CheckFailedError, LockTimeoutError
from holdstill_agent.lookout import Lookout

ADVICE = (
    "end what blocks, back up at a quieter hour, or set kill_queries_older_than_s in agent.toml:"
)

_AGAIN_AFTER_S = 0.2

# A statement that is young now is done soon, most often: the older it is, the less. A busy server
# may never be without those of the second kind, so the first half of the patience asks for more.
_YOUNG_MS = 100
_OLD_MS = 1000


def await_quiet(
    lookout: Lookout,
    kill_older_than_s: int | None,
    patience_ms: int,
    pause: Callable[[float], bool],
) -> str:
    """Wait for a quiet moment; return what that took, for a person.

    LockTimeoutError names who was in the way to the end of `patience_ms`; CheckFailedError when
    `pause` says that the run is no longer wanted. `kill_older_than_s`: may end queries that old.
    """
    began_ms = monotonic_ms()
    tried: set[tuple[int, int | None]] = set()
    while blocking := _in_the_way(lookout, monotonic_ms() - began_ms, patience_ms):
        if kill_older_than_s is not None:
            _kill(lookout, blocking, kill_older_than_s, tried)
        if monotonic_ms() - began_ms >= patience_ms:
            raise LockTimeoutError(
                f"no quiet moment in {patience_ms / 1000:g} s, nothing was locked: {ADVICE} "
                + described(blocking)
                + spared(blocking, kill_older_than_s)
            )
        if not pause(_AGAIN_AFTER_S):
            raise CheckFailedError("no longer wanted")
    waited = f"nobody in the way after {(monotonic_ms() - began_ms) / 1000:.1f} s"
    return f"{waited}; killed {described(lookout.killed)}" if lookout.killed else waited


def require_quiet(lookout: Lookout) -> None:
    """Look once more, just before a lock; LockTimeoutError where one would wait for long."""
    if blocking := _in_the_way(lookout, 0, 0):
        raise LockTimeoutError(f"nothing was locked: {ADVICE} {described(blocking)}")


def _in_the_way(lookout: Lookout, waited_ms: int, patience_ms: int) -> list[Blocker]:
    """Who sleeps and blocks holds LOCK TABLES or a HANDLER: that may last."""
    allowed_ms = _YOUNG_MS if waited_ms * 2 < patience_ms else _OLD_MS
    return [one for one in lookout.look() if one.age_ms >= allowed_ms or one.sleeps]


def _kill(
    lookout: Lookout,
    blocking: Sequence[Blocker],
    older_than_s: int,
    tried: set[tuple[int, int | None]],
) -> None:
    """Kill what may be, each but once: a killed statement needs a while to roll back."""
    for one in blocking:
        known = (one.session_id, one.query_id)
        if one.may_be_killed(older_than_s) and known not in tried:
            tried.add(known)
            lookout.kill(one)
