"""The backup Lambda is killed at each step of a run: the sweep tells of it, the host thaws."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from functions.domain.verdict import Broken, Verdict
from lab.faults import fates
from lab.faults.fault import ANY, CRASH_CONSISTENT, Fault
from lab.faults.steps import (
    BY_DEADLINE,
    begin_calmly_later,
    later_run_is_consistent,
    run_until,
    stop_at_call,
    swept,
)

if TYPE_CHECKING:
    from lab.faults.cloud import FaultyCloud
    from lab.faults.wire import Fate, Rule
    from lab.faults.world import World

GROUP = "conductor"

_PAST_DEADLINE_S = 2.3


@dataclass(frozen=True, slots=True)
class _Step:
    """Where the conductor is killed. `tag`: what its snapshot is tagged with, None without one."""

    name: str
    words: str
    meet: Callable[[FaultyCloud], Rule]
    tag: Verdict | None


def _queue(message: str, fate: Fate) -> Callable[[FaultyCloud], Rule]:
    return lambda cloud: cloud.conductor.sqs.meet("SendMessage", fate, message=message)


def _ec2(action: str, fate: Fate) -> Callable[[FaultyCloud], Rule]:
    return lambda cloud: cloud.conductor.ec2.meet(action, fate)


def _table(action: str, fate: Fate) -> Callable[[FaultyCloud], Rule]:
    return lambda cloud: cloud.conductor.table.meet(action, fate)


_before, _after = fates.held, fates.held_answer
_UNPROVEN, _PROVEN = Verdict.UNPROVEN, Verdict.CONSISTENT

_STEPS = (
    _Step("prepare-sent", "it has sent `prepare`", _queue("prepare", _after), None),
    _Step("prepared", "it has heard `prepared`", _ec2("DescribeInstances", _before), None),
    _Step("freeze-sent", "it has sent `freeze`", _queue("freeze", _after), None),
    _Step("frozen", "it has heard `frozen`", _ec2("CreateSnapshot", _before), None),
    _Step("calling", "CreateSnapshot is under way", _ec2("CreateSnapshot", _after), _UNPROVEN),
    _Step("called", "CreateSnapshot returned", _queue("thaw", _before), _UNPROVEN),
    _Step("thawed", "it has heard `thawed`", _ec2("CreateTags", _before), _UNPROVEN),
    _Step("judged", "the verdict is tagged", _table("DeleteItem", _before), _PROVEN),
    _Step("released", "the lease is free", _table("DeleteItem", _after), _PROVEN),
)

_THEN_THE_NEXT = ("prepared", "calling")
"""Killed there, the lease is left as anywhere, and the host prepared or frozen."""


def _fault(step: _Step) -> Fault:
    def inject(world: World) -> None:
        cloud = begin_calmly_later(world)
        run_until(world, step.meet(cloud))
        cloud.kill_conductor()

    def afterwards(world: World) -> Iterable[str]:
        yield from swept(world, step.tag)
        if step.name in _THEN_THE_NEXT:
            yield from later_run_is_consistent(world)

    return Fault(
        name=f"conductor-killed-{step.name}",
        group=GROUP,
        law=f"The conductor is killed when {step.words}: the run is told abandoned, its lease"
        " expires, and the host does not need it.",
        inject=inject,
        verdicts=ANY if step.tag is _PROVEN else frozenset({None}),
        dead_conductor=True,
        afterwards=afterwards,
    )


def _stopped_in_its_call(world: World) -> None:
    """Stop the conductor until the host has thawed by itself; its call's answer waits for it."""
    cloud = stop_at_call(world)
    pid = cloud.conductor_pid
    os.kill(pid, signal.SIGSTOP)
    cloud.conductor.ec2.calm()
    time.sleep(_PAST_DEADLINE_S)
    os.kill(pid, signal.SIGCONT)


def _faults() -> Iterator[Fault]:
    yield from (_fault(step) for step in _STEPS)
    yield Fault(
        name="conductor-stopped-in-its-call",
        group=GROUP,
        law="A conductor that slept through the deadline does not call its snapshot consistent.",
        inject=_stopped_in_its_call,
        verdicts=CRASH_CONSISTENT,
        reasons=BY_DEADLINE | {Broken.CALL_OUTLIVED_FREEZE, Broken.CALL_OUTCOME_UNKNOWN},
    )


FAULTS = tuple(_faults())
