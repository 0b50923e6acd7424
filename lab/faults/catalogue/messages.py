"""A message of a run is lost, comes twice, comes late, or before the one that went first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from functions.domain.verdict import Broken
from holdstill_protocol.conductor_model import Stop
from holdstill_protocol.messages import RefusalCode, ThawReason
from lab.faults import fates
from lab.faults.fault import CONSISTENT, CRASH_CONSISTENT, NO_SNAPSHOT, Fault
from lab.faults.steps import (
    BY_DEADLINE,
    SPENT,
    begin_calmly_later,
    next_run_is_consistent,
    refused,
    stopped,
    thawed_by,
)

if TYPE_CHECKING:
    from lab.faults.wire import Fate, Rule, Wire
    from lab.faults.world import World

GROUP = "messages"

_PAST_EXPIRY_S = 2.3
"""A freeze is good for 2 s: a second less than its conductor waits for the answer."""

_PAST_DEADLINE_S = 2.4


def _sent(message: str, fate: Fate, *, times: int | None = 1) -> Callable[[World], None]:
    """Return what lets the sends of a message in one run meet a fate."""
    by_agent = message in ("prepared", "frozen", "thawed", "refused")

    def inject(world: World) -> None:
        cloud = begin_calmly_later(world)
        wire: Wire = cloud.agent if by_agent else cloud.conductor.sqs
        rule: Rule = wire.meet("SendMessage", fate, message=message, times=times)
        world.begin()
        rule.await_met()
        world.inject_now()

    return inject


def _thaw_before_freeze(world: World) -> None:
    """Keep the freeze back until the thaw is there, which the conductor sends when it gives up."""
    cloud = begin_calmly_later(world)
    thaw = cloud.conductor.sqs.meet("SendMessage", fates.repeated, message="thaw")
    freeze = cloud.conductor.sqs.meet("SendMessage", fates.after(thaw.met), message="freeze")
    world.begin()
    freeze.await_met()
    world.inject_now()


def _thawed_when_told(world: World) -> Iterable[str]:
    yield from thawed_by(world, ThawReason.COMMANDED)


def _thawed_at_deadline(world: World) -> Iterable[str]:
    yield from thawed_by(world, ThawReason.DEADLINE)


def _and_the_next_run(world: World) -> Iterable[str]:
    yield from _thawed_at_deadline(world)
    yield from next_run_is_consistent(world)


FAULTS = (
    Fault(
        name="freeze-twice",
        group=GROUP,
        law="A freeze that comes twice freezes once.",
        inject=_sent("freeze", fates.repeated),
        verdicts=CONSISTENT,
        afterwards=_thawed_when_told,
    ),
    Fault(
        name="freeze-after-its-expiry",
        group=GROUP,
        law="Nothing is held for a conductor that has given up.",
        inject=_sent("freeze", fates.late(_PAST_EXPIRY_S)),
        verdicts=NO_SNAPSHOT,
        reasons=refused(RefusalCode.EXPIRED),
    ),
    Fault(
        name="thaw-before-freeze",
        group=GROUP,
        law="A thaw ends its run also when it arrives before the freeze.",
        inject=_thaw_before_freeze,
        verdicts=NO_SNAPSHOT,
        reasons=stopped(Stop.FREEZE_TIMEOUT),
    ),
    Fault(
        name="frozen-lost",
        group=GROUP,
        law="A host that nobody heard freeze thaws at its deadline.",
        inject=_sent("frozen", fates.lost),
        verdicts=NO_SNAPSHOT,
        reasons=stopped(Stop.THAWED_EARLY),
        afterwards=_thawed_at_deadline,
    ),
    Fault(
        name="frozen-after-the-deadline",
        group=GROUP,
        law="No snapshot is made for a `frozen` that came after the `thawed`.",
        inject=_sent("frozen", fates.late(_PAST_DEADLINE_S)),
        verdicts=NO_SNAPSHOT,
        reasons=stopped(Stop.THAWED_EARLY),
        afterwards=_thawed_at_deadline,
    ),
    Fault(
        name="thaw-lost",
        group=GROUP,
        law="A lost thaw is sent again, and the snapshot is as good.",
        inject=_sent("thaw", fates.lost),
        verdicts=CONSISTENT,
        afterwards=_thawed_when_told,
    ),
    Fault(
        name="every-thaw-lost",
        group=GROUP,
        law="Without any thaw the host thaws at its deadline.",
        inject=_sent("thaw", fates.lost, times=None),
        verdicts=CRASH_CONSISTENT,
        reasons=BY_DEADLINE,
        afterwards=_thawed_at_deadline,
    ),
    Fault(
        name="thaw-twice",
        group=GROUP,
        law="A thaw that comes twice thaws once.",
        inject=_sent("thaw", fates.repeated),
        verdicts=CONSISTENT,
        afterwards=_thawed_when_told,
    ),
    Fault(
        name="every-thaw-after-the-deadline",
        group=GROUP,
        law="A thaw that comes after the deadline proves nothing, and touches nothing.",
        inject=_sent("thaw", fates.late(_PAST_DEADLINE_S), times=None),
        verdicts=CRASH_CONSISTENT,
        reasons=BY_DEADLINE,
        afterwards=_and_the_next_run,
    ),
    Fault(
        name="thawed-lost",
        group=GROUP,
        law="A snapshot whose `thawed` was lost is not called consistent.",
        inject=_sent("thawed", fates.lost),
        verdicts=CRASH_CONSISTENT,
        reasons=frozenset({Broken.NO_THAWED_REPLY, SPENT}),
    ),
    Fault(
        name="thawed-twice",
        group=GROUP,
        law="A `thawed` that comes twice ends one run, and not the next.",
        inject=_sent("thawed", fates.repeated),
        verdicts=CONSISTENT,
        afterwards=next_run_is_consistent,
    ),
)
