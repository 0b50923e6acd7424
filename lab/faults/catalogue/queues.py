"""While the host is frozen, the queue's endpoint fails: for the agent, or for the conductor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.faults import fates
from lab.faults.fault import CRASH_CONSISTENT, Fault
from lab.faults.steps import UNHEARD, next_run_is_consistent, stop_at_call

if TYPE_CHECKING:
    from lab.faults.cloud import FaultyCloud
    from lab.faults.wire import Wire
    from lab.faults.world import World

GROUP = "queues"
SLOW_S = 5.0


@dataclass(frozen=True, slots=True)
class _Party:
    name: str
    wire: Callable[[FaultyCloud], Wire]


@dataclass(frozen=True, slots=True)
class _Failure:
    name: str
    words: str
    strike: Callable[[Wire], None]


_AGENT = _Party("agent", lambda cloud: cloud.agent)
_CONDUCTOR = _Party("conductor", lambda cloud: cloud.conductor.sqs)

_DOWN = _Failure("down", "refuses connections", lambda wire: wire.down())
_SLOW = _Failure("slow", f"takes {SLOW_S:g} s to answer", lambda wire: wire.slow(SLOW_S))
_FAILING = _Failure("failing", "answers 503", lambda wire: wire.spoil(fates.UNAVAILABLE))
_PORTAL = _Failure("a-portal", "answers with a web page", lambda wire: wire.spoil(fates.HTML))
_CUT_OFF = _Failure("cut-off", "breaks off", lambda wire: wire.spoil(fates.BROKEN_OFF))

_FAILURES = (
    (_AGENT, (_DOWN, _SLOW, _FAILING, _PORTAL)),
    (_CONDUCTOR, (_DOWN, _SLOW, _FAILING, _CUT_OFF)),
)


def _fault(party: _Party, failure: _Failure) -> Fault:
    def inject(world: World) -> None:
        cloud = stop_at_call(world)
        failure.strike(party.wire(cloud))
        cloud.conductor.ec2.calm()

    return Fault(
        name=f"queue-{failure.name}-for-{party.name}",
        group=GROUP,
        law=f"The queue {failure.words} for the {party.name}: the host thaws at its deadline.",
        inject=inject,
        verdicts=CRASH_CONSISTENT,
        reasons=UNHEARD,
        afterwards=next_run_is_consistent if failure is _SLOW else None,
    )


def _faults() -> Iterator[Fault]:
    for party, failures in _FAILURES:
        for failure in failures:
            yield _fault(party, failure)


FAULTS = tuple(_faults())
