"""Agent, freezer and guard are killed, told to end, or stopped, at each step of a run."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from functions.domain.verdict import Broken, Verdict
from holdstill_protocol.conductor_model import Stop
from holdstill_protocol.messages import RefusalCode
from lab.faults.family import Family, await_gone, await_stopped, go_on, send
from lab.faults.fault import ANY, CONSISTENT, CRASH_CONSISTENT, NO_SNAPSHOT, NOT_CONSISTENT, Fault

if TYPE_CHECKING:
    from lab.faults.world import World

_HELD_S = 0.4
"""How long CreateSnapshot keeps a host frozen whose freeze is to be hit at a random moment."""

_RUN_S = 0.9
"""About as long as a freezer lives then: random moments fall on all of that, and just after."""

_PATIENCE_S = 3
"""What the conductor waits for a host that may have died while it prepared."""

_ASLEEP_S = 2.3
"""How long a process stays stopped while nothing is held: past the expiry of the next command."""

_ANY_VICTIMS = (("agent",), ("freezer",), ("agent", "freezer"))

_AT_ONCE_S = 1.5
"""The longest that a writer may wait where nobody has to wait for a deadline."""

_KILL, _TERM, _STOP = signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP
_DONE_TO_IT = {_KILL: "killed", _TERM: "told-to-end", _STOP: "stopped"}

_NO_FREEZE = frozenset({Broken.NO_SNAPSHOT, Stop.FREEZE_TIMEOUT, Stop.THAWED_EARLY})
_NO_PROOF = frozenset(
    {
        Broken.NO_THAWED_REPLY,
        Broken.NOT_INTACT,
        Broken.CALL_OUTLIVED_FREEZE,
        Broken.NO_FROZEN_REPLY,
        Broken.CALL_OUTCOME_UNKNOWN,  # the call is made to last: on a slow machine, too long
    }
)


def _refused(*codes: RefusalCode) -> frozenset[str]:
    return frozenset(f"host-refused-{code}" for code in codes)


_STARTED_AGAIN = _refused(RefusalCode.NOT_PREPARED)
"""What an agent says to the thaw of a run that it has never heard of."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """A step of a run: how to be there, and what is said of it in a fault's law."""

    name: str
    words: str
    reach: Callable[[World], Family]


def _while_frozen(world: World) -> Family:
    """Be at a random moment while all is held."""
    world.hold_frozen(_HELD_S)
    world.begin()
    family = world.await_frozen()
    time.sleep(world.trial.random.uniform(0, _HELD_S * 0.8))
    return family


_BEFORE_LOCK = _Moment("before-lock", "before the lock", lambda world: world.stop_before_lock())
_BETWEEN = _Moment(
    "between-lock-and-freeze",
    "between lock and freeze",
    lambda world: world.stop_between_lock_and_freeze(),
)
_FROZEN = _Moment("while-frozen", "while all is held", _while_frozen)
_THAWING = _Moment("during-thaw", "during the thaw", lambda world: world.stop_while_thawing())


def _signalled(moment: _Moment, number: signal.Signals, victim: str) -> Callable[[World], None]:
    """Return what signals a process at a moment, and lets the others go on."""

    def inject(world: World) -> None:
        family = moment.reach(world)
        pid: int = getattr(family, victim)
        world.inject_now()
        send(number, pid)
        if number == _STOP:
            await_stopped(pid)
            world.trial.later.callback(send, signal.SIGCONT, pid)
            others = [other for other in (family.freezer, family.agent) if other != pid]
            send(signal.SIGCONT, *others)
            if moment is _BEFORE_LOCK:
                time.sleep(_ASLEEP_S)
        else:
            go_on(family)

    return inject


@dataclass(frozen=True, slots=True)
class _Row:
    """What a run may say after one signal at one moment."""

    number: signal.Signals
    moment: _Moment
    verdicts: frozenset[Verdict | None]
    reasons: frozenset[str] = frozenset()
    goal_ms: float | None = None


_OF_THE_AGENT = (
    _Row(_KILL, _BEFORE_LOCK, NO_SNAPSHOT, _NO_FREEZE | _STARTED_AGAIN),
    _Row(_TERM, _BEFORE_LOCK, NO_SNAPSHOT, _NO_FREEZE | _STARTED_AGAIN),
    _Row(
        *(_STOP, _BEFORE_LOCK, NO_SNAPSHOT),
        _NO_FREEZE | _refused(RefusalCode.EXPIRED, RefusalCode.PREFLIGHT_FAILED),
    ),
    _Row(_KILL, _BETWEEN, NO_SNAPSHOT, _NO_FREEZE | _STARTED_AGAIN),
    _Row(_TERM, _BETWEEN, NO_SNAPSHOT, _NO_FREEZE | _STARTED_AGAIN),
    # It may wake up to the freezer's old answer, say `frozen`, and only then see what time it is.
    _Row(
        *(_STOP, _BETWEEN, NOT_CONSISTENT),
        _NO_PROOF
        | _NO_FREEZE
        | {Broken.THAWED_BY_DEADLINE}
        | _refused(RefusalCode.FREEZE_FAILED, RefusalCode.FREEZER_UNAVAILABLE),
    ),
    _Row(_KILL, _FROZEN, NOT_CONSISTENT, _NO_PROOF | _NO_FREEZE | _STARTED_AGAIN, goal_ms=50),
    _Row(
        *(_TERM, _FROZEN, NOT_CONSISTENT),
        _NO_PROOF | _NO_FREEZE | {Broken.HOST_SHUT_DOWN},
    ),
    _Row(
        *(_STOP, _FROZEN, NOT_CONSISTENT),
        _NO_PROOF | _NO_FREEZE | {Broken.THAWED_BY_DEADLINE},
    ),
    _Row(_KILL, _THAWING, CRASH_CONSISTENT, _NO_PROOF | _STARTED_AGAIN),
    _Row(_TERM, _THAWING, CONSISTENT),
    _Row(_STOP, _THAWING, CRASH_CONSISTENT, _NO_PROOF),
)

_UNAVAILABLE = _NO_FREEZE | _refused(RefusalCode.FREEZER_UNAVAILABLE, RefusalCode.FREEZE_FAILED)

_OF_THE_FREEZER = (
    _Row(_KILL, _BEFORE_LOCK, NO_SNAPSHOT, _UNAVAILABLE),
    _Row(_TERM, _BEFORE_LOCK, NO_SNAPSHOT, _UNAVAILABLE),
    _Row(_STOP, _BEFORE_LOCK, NO_SNAPSHOT, _NO_FREEZE | _refused(RefusalCode.PREFLIGHT_FAILED)),
    _Row(_KILL, _BETWEEN, NO_SNAPSHOT, _UNAVAILABLE),
    _Row(_TERM, _BETWEEN, NO_SNAPSHOT, _UNAVAILABLE),
    _Row(_STOP, _BETWEEN, NO_SNAPSHOT, _UNAVAILABLE),
    _Row(
        *(_KILL, _FROZEN, NOT_CONSISTENT),
        _NO_PROOF | _NO_FREEZE | {Broken.LOST_FREEZER},
        goal_ms=300,
    ),
    _Row(
        *(_TERM, _FROZEN, NOT_CONSISTENT),
        _NO_PROOF | _NO_FREEZE | {Broken.HOST_SHUT_DOWN, Broken.LOST_FREEZER},
    ),
    _Row(
        *(_STOP, _FROZEN, NOT_CONSISTENT),
        _NO_PROOF | _NO_FREEZE | {Broken.THAWED_BY_DEADLINE},
    ),
    _Row(_KILL, _THAWING, CRASH_CONSISTENT, _NO_PROOF),
    _Row(_TERM, _THAWING, CRASH_CONSISTENT, _NO_PROOF),
    _Row(_STOP, _THAWING, CRASH_CONSISTENT, _NO_PROOF),
)


def _rows(victim: str, rows: tuple[_Row, ...]) -> Iterator[Fault]:
    for row in rows:
        done = _DONE_TO_IT[row.number]
        yield Fault(
            name=f"{victim}-{done}-{row.moment.name}",
            group="process",
            law=f"The {victim} is {done.replace('-', ' ')} {row.moment.words}: writers go on.",
            inject=_signalled(row.moment, row.number, victim),
            verdicts=row.verdicts,
            reasons=row.reasons,
            killing=row.number == _KILL and row.moment is _FROZEN,
            stall_s=None if row.number == _STOP else _AT_ONCE_S,
            goal_ms=row.goal_ms,
        )


# --- at any moment of a run, and several at once


def _killed_at_any_moment(world: World) -> None:
    """Kill agent, freezer or both, at any moment from the freezer's first to its last."""
    world.hold_frozen(_HELD_S)
    world.begin(patience_s=_PATIENCE_S)
    family = world.await_freezer()
    time.sleep(world.trial.random.uniform(0, _RUN_S))
    victims = world.trial.random.choice(_ANY_VICTIMS)
    world.inject_now()
    send(_KILL, *(getattr(family, victim) for victim in victims))


def _killed_while_frozen(*victims: str, start_again: bool = False) -> Callable[[World], None]:
    def inject(world: World) -> None:
        family = _while_frozen(world)
        world.inject_now()
        send(_KILL, *(getattr(family, victim) for victim in victims))
        if start_again:
            _start_again(world, family)

    return inject


def _start_again(world: World, family: Family) -> None:
    """Start the agent as systemd would; what the dead left frozen is thawed at its start."""
    await_gone(family.agent)
    world.restart_agent()


_ANYTHING = (
    _NO_PROOF
    | _NO_FREEZE
    | _STARTED_AGAIN
    | _refused(
        RefusalCode.FREEZER_UNAVAILABLE, RefusalCode.FREEZE_FAILED, RefusalCode.PREFLIGHT_FAILED
    )
    | {Broken.LOST_FREEZER, Stop.PREPARE_TIMEOUT}
)


def _of_several() -> Iterator[Fault]:
    yield Fault(
        name="guard-killed-while-frozen",
        group="process",
        law="Without its guard the freezer itself thaws when it is told to.",
        inject=_killed_while_frozen("guard"),
        verdicts=CONSISTENT,
        stall_s=_AT_ONCE_S,
    )
    yield Fault(
        name="guard-killed-before-lock",
        group="process",
        law="A freezer whose guard is dead freezes nothing.",
        inject=_signalled(_BEFORE_LOCK, _KILL, "guard"),
        verdicts=NO_SNAPSHOT,
        reasons=_UNAVAILABLE,
    )
    yield Fault(
        name="killed-at-any-moment",
        group="process",
        law="Whenever agent, freezer or both are killed, writers go on.",
        inject=_killed_at_any_moment,
        verdicts=ANY,
        reasons=_ANYTHING,
        killing=True,
    )
    yield Fault(
        name="agent-freezer-and-guard-killed-while-frozen",
        group="process",
        law="Nobody is left to thaw: the agent that is started again does, before it listens.",
        inject=_killed_while_frozen("agent", "freezer", "guard", start_again=True),
        verdicts=NOT_CONSISTENT,
        reasons=_ANYTHING,
        killing=True,
    )
    yield Fault(
        name="agent-and-freezer-killed-then-next-run",
        group="process",
        law="After both were killed, an agent that is started again makes the next backup.",
        inject=_next_run,
        verdicts=CONSISTENT,
    )


def _next_run(world: World) -> None:
    family = _while_frozen(world)
    world.inject_now()
    send(_KILL, family.agent, family.freezer)
    _start_again(world, family)
    world.cloud.wait_ended(world.trial.runs[-1], 20)
    world.cloud.reset()
    world.begin()


FAULTS = (*_rows("agent", _OF_THE_AGENT), *_rows("freezer", _OF_THE_FREEZER), *_of_several())
