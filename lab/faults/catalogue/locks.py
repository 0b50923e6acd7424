"""Other clients of the database are in the lock's way, on MariaDB and on MySQL.

On both, an UPDATE that runs, LOCK TABLES WRITE and an ALTER TABLE keep FLUSH TABLES WITH READ LOCK
waiting, and an open transaction between two statements does not. A SELECT that runs and LOCK
TABLES READ do on MySQL alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pymysql

from functions.domain.verdict import Broken
from holdstill_protocol.messages import RefusalCode
from lab.faults.errors import FaultError, MomentMissedError
from lab.faults.family import go_on
from lab.faults.fault import CONSISTENT, CRASH_CONSISTENT, NO_SNAPSHOT, Fault
from lab.faults.sessions import Session, kill, make_table, sessions
from lab.host import MariaDb, MySql
from lab.host.server import AGENT

if TYPE_CHECKING:
    from lab.faults.world import World

STALL_S = 2.5
"""The longest that any other writer may wait because of a lock that was not had."""

_OLD_S = 0.2  # the agent lets a statement pass that began 0.1 s ago: most end soon
_REFUSED_WITHIN_S = 20.0
_HELD_S = 0.6
_PATIENCE_S = 0.5

_BOTH = frozenset({MariaDb.name, MySql.name})
_MARIADB = frozenset({MariaDb.name})
_MYSQL = frozenset({MySql.name})
_NONE: frozenset[str] = frozenset()

_REFUSED = frozenset({f"host-refused-{RefusalCode.LOCK_TIMEOUT}", Broken.NO_SNAPSHOT})


# --- what other clients do


def _select(world: World) -> Session:
    reader = _session(world)
    reader.begin("SELECT SLEEP(30) FROM stock", seen_as="User sleep")
    return reader


def _update(world: World) -> Session:
    writer = _session(world)
    writer.begin("UPDATE stock SET n = n + SLEEP(30)", seen_as="User sleep")
    return writer


def _lock_write(world: World) -> Session:
    locker = _session(world)
    locker.run("LOCK TABLES stock WRITE")
    return locker


def _lock_read(world: World) -> Session:
    locker = _session(world)
    locker.run("LOCK TABLES stock READ")
    return locker


def _transaction(world: World) -> Session:
    writer = _session(world)
    writer.run("BEGIN", "UPDATE stock SET n = n + 1", "SELECT * FROM stock")
    return writer


def _alter(world: World) -> Session:
    """Begin an ALTER TABLE that does not end: it waits for somebody's open transaction."""
    _transaction(world)
    owner = _session(world)
    owner.begin("ALTER TABLE stock ADD COLUMN price INT", seen_as="metadata lock")
    return owner


def _session(world: World) -> Session:
    session = Session(world.host.server)
    world.trial.later.callback(session.end)
    return session


@dataclass(frozen=True, slots=True)
class _Doing:
    """What somebody does; `blocks`: the servers on which the lock waits for it."""

    name: str
    words: str
    begin: Callable[[World], Session]
    blocks: frozenset[str]
    passes_young: bool = False
    """It is also tried as a statement that is too young for the agent to wait for."""
    unseen: frozenset[str] = _NONE
    """The servers that do not tell who it is: the lock is tried there, and given up."""


_SELECT = _Doing("long-select", "A SELECT that runs long", _select, _MYSQL, passes_young=True)
_UPDATE = _Doing("long-update", "An UPDATE that runs long", _update, _BOTH, passes_young=True)
_ALTER = _Doing("alter-table", "An ALTER TABLE that waits", _alter, _BOTH)
_DOINGS = (
    _SELECT,
    _UPDATE,
    _ALTER,
    # MariaDB shows a session that sleeps on its locks by the plugin metadata_lock_info alone.
    _Doing("lock-tables-write", "A LOCK TABLES … WRITE", _lock_write, _BOTH, unseen=_MARIADB),
    _Doing("lock-tables-read", "A LOCK TABLES … READ", _lock_read, _MYSQL),
    _Doing("open-transaction", "A transaction left open", _transaction, _NONE),
)


# --- when they do it


def _in_the_way(doing: _Doing, *, blocks: bool, age_s: float) -> Callable[[World], None]:
    """Return what begins after the run was prepared, `age_s` before the agent locks."""

    def inject(world: World) -> None:
        make_table(world.host.server)
        family = world.stop_before_lock()
        try:
            client = doing.begin(world)
            time.sleep(age_s)
            world.inject_now()
        finally:
            go_on(family)
        if not blocks:
            world.await_frozen()
        elif world.host.server.name in doing.unseen:
            # Writers go on until the lock is tried, and `later` would end the client before.
            world.cloud.wait_ended(world.trial.runs[-1], _REFUSED_WITHIN_S)
        else:
            _require_named(world, client)

    return inject


def _since_before(doing: _Doing) -> Callable[[World], None]:
    """Return what is there already when the run begins, and longer than the agent is patient."""

    def inject(world: World) -> None:
        make_table(world.host.server)
        world.restart_agent(quiet_patience_s=_PATIENCE_S)
        client = doing.begin(world)
        world.inject_now()
        world.begin()
        _require_named(world, client)

    return inject


def _require_named(world: World, client: Session) -> None:
    """Require that the run's record names who was in the way.

    MomentMissedError where the freezer was stopped for so long, on a busy machine, that the agent
    had no time left for the lock after its last sync.
    """
    record = world.cloud.wait_ended(world.trial.runs[-1], _REFUSED_WITHIN_S) or {}
    if f"host-refused-{RefusalCode.PREFLIGHT_FAILED}" in record.get("reasons", ()):
        raise MomentMissedError("the agent gave up before the lock")
    said = str(record.get("attempts"))
    if f"session {client.id} (root)" not in said:
        raise FaultError(f"session {client.id} is not named: {said}")


# --- the lock's own session


def _lock_killed(world: World) -> None:
    """Have an administrator end all that the agent's account has open, while all is held."""
    server = world.host.server
    with server.connect() as connection:  # before: to connect takes time, and it is frozen so long
        world.hold_frozen(_HELD_S)
        world.begin()
        world.await_frozen()
        world.inject_now()
        while ours := [one for one in sessions(connection) if one.user == AGENT]:
            for session in ours:
                with suppress(pymysql.OperationalError):  # the first's end may end the second
                    kill(connection, session.id)
    if not world.marker.stat().st_size:
        raise MomentMissedError("the lock was not ended before the thaw")


def _of(doing: _Doing) -> Iterator[Fault]:
    for blocks, servers in ((True, doing.blocks), (False, _BOTH - doing.blocks)):
        if not servers:
            continue
        on = f"-on-{min(servers)}" if servers != _BOTH else ""
        outcome = "is named, and nothing is held" if blocks else "keeps no backup waiting"
        for when, age_s in (("", _OLD_S), ("-at-the-last-moment", 0.0)):
            if when and not (doing.passes_young and blocks):
                continue
            yield Fault(
                name=f"{doing.name}{when}{on}",
                group="locks",
                law=f"{doing.words} {outcome}.",
                inject=_in_the_way(doing, blocks=blocks, age_s=age_s),
                verdicts=NO_SNAPSHOT if blocks else CONSISTENT,
                reasons=_REFUSED if blocks else frozenset(),
                stall_s=STALL_S,
                servers=tuple(sorted(servers)),
            )


FAULTS = (
    *(fault for doing in _DOINGS for fault in _of(doing)),
    Fault(
        name="long-update-before-the-run",
        group="locks",
        law="A host that has no quiet moment within its patience refuses before anything is held.",
        inject=_since_before(_UPDATE),
        verdicts=NO_SNAPSHOT,
        reasons=_REFUSED,
        stall_s=STALL_S,
        servers=tuple(sorted(_BOTH)),
    ),
    Fault(
        name="lock-killed-while-frozen",
        group="locks",
        law="A lock whose session another client has ended is never taken for one that held.",
        inject=_lock_killed,
        verdicts=CRASH_CONSISTENT,
        reasons=frozenset({Broken.NOT_INTACT}),
        servers=tuple(sorted(_BOTH)),
    ),
)
