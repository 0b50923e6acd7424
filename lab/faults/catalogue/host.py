"""What else happens on a host: its server dies, somebody else freezes or thaws, a second agent."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from functions.domain.verdict import Broken
from holdstill_protocol.messages import RefusalCode
from lab.faults.errors import FaultError
from lab.faults.family import Family, go_on
from lab.faults.fault import ANY, CONSISTENT, CRASH_CONSISTENT, NO_SNAPSHOT, Fault
from lab.host import disk

if TYPE_CHECKING:
    from lab.faults.world import World

_HELD_S = 0.4
_RUN_ENDS_WITHIN_S = 20.0
_NO_PROOF = frozenset(
    {
        Broken.NOT_INTACT,
        Broken.CALL_OUTCOME_UNKNOWN,  # the call is made to last: on a slow machine, too long
    }
)
_PREFLIGHT = frozenset({Broken.NO_SNAPSHOT, f"host-refused-{RefusalCode.PREFLIGHT_FAILED}"})
_ALREADY = frozenset({Broken.NO_SNAPSHOT, f"host-refused-{RefusalCode.ALREADY_FROZEN}"})


def _frozen_at_random(world: World) -> Family:
    world.hold_frozen(_HELD_S)
    world.begin()
    family = world.await_frozen()
    time.sleep(world.trial.random.uniform(0, _HELD_S / 2))
    return family


def _server_signalled(number: signal.Signals) -> Callable[[World], None]:
    def inject(world: World) -> None:
        pid = world.host.server.pid
        if pid is None:
            raise FaultError("there is no server")
        _frozen_at_random(world)
        world.inject_now()
        os.kill(pid, number)

    return inject


# --- somebody else freezes and thaws


def _thawed_by_somebody(world: World) -> None:
    _frozen_at_random(world)
    world.inject_now()
    world.host.thaw()


def _frozen_by_somebody_before(world: World) -> None:
    """Have it frozen before the run, which must be refused, until that is over."""
    with _strangers_freeze(world):
        world.begin()
        world.cloud.wait_ended(world.trial.runs[-1], _RUN_ENDS_WITHIN_S)


def _frozen_by_somebody_under_lock(world: World) -> None:
    """Have it frozen after the pre-flight, when the agent has locked and is about to freeze."""
    family = world.stop_between_lock_and_freeze()
    try:
        with _strangers_freeze(world):
            go_on(family)
            world.cloud.wait_ended(world.trial.runs[-1], _RUN_ENDS_WITHIN_S)
    finally:
        go_on(family)


@contextmanager
def _strangers_freeze(world: World) -> Iterator[None]:
    """Freeze as a stranger; thaw at the end, from where the time to the first write counts.

    FaultError if it is no longer frozen then: it was not ours to thaw.
    """
    world.trial.later.callback(world.host.thaw)
    disk.freeze(world.mount)
    yield
    world.inject_now()
    still_frozen = not disk.freeze(world.mount)
    world.host.thaw()
    if not still_frozen:
        raise FaultError("somebody else's freeze was thawed")


# --- a second agent


def _second_agent(world: World) -> None:
    """Start a second agent beside one that holds the host: same configuration, same queues."""
    first = world.agent
    _frozen_at_random(world)
    world.inject_now()
    world.start_agent()
    second = world.agent
    world.trial.later.callback(second.stop)
    world.agent = first


FAULTS = (
    Fault(
        name="server-killed-while-frozen",
        group="host",
        law="A server that is killed under the lock cannot end before the thaw, and that comes.",
        inject=_server_signalled(signal.SIGKILL),
        verdicts=CRASH_CONSISTENT,
        reasons=_NO_PROOF,
        servers=("mariadb", "mysql"),
    ),
    Fault(
        name="server-told-to-end-while-frozen",
        group="host",
        law="A server that is shut down under the lock ends after the thaw, which comes in time.",
        inject=_server_signalled(signal.SIGTERM),
        # MySQL cannot end its sessions while their files are frozen: the lock holds to the last.
        verdicts=CONSISTENT | CRASH_CONSISTENT,
        reasons=_NO_PROOF,
        servers=("mariadb", "mysql"),
    ),
    Fault(
        name="thawed-by-somebody-else",
        group="host",
        law="A filesystem that somebody else thawed makes no consistent snapshot.",
        inject=_thawed_by_somebody,
        verdicts=CRASH_CONSISTENT,
        reasons=_NO_PROOF,
    ),
    Fault(
        name="frozen-by-somebody-else-before-the-run",
        group="host",
        law="A filesystem that somebody else froze is refused, and never thawed by us.",
        inject=_frozen_by_somebody_before,
        verdicts=NO_SNAPSHOT,
        reasons=_PREFLIGHT | _ALREADY,
        stall_s=15,
    ),
    Fault(
        name="frozen-by-somebody-else-under-the-lock",
        group="host",
        law="Somebody else's freeze that came first is left alone; the lock is given back.",
        inject=_frozen_by_somebody_under_lock,
        verdicts=NO_SNAPSHOT,
        reasons=_ALREADY,
        stall_s=15,
    ),
    Fault(
        name="second-agent-while-frozen",
        group="host",
        law="A second agent finds the freezer taken, and thaws nothing of the first's.",
        inject=_second_agent,
        verdicts=ANY,
        reasons=frozenset(
            {
                Broken.NO_THAWED_REPLY,
                Broken.THAWED_BY_DEADLINE,
                Broken.NOT_INTACT,
                f"host-refused-{RefusalCode.NOT_PREPARED}",
            }
        ),
    ),
)
