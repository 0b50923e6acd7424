"""The wall clock of agent or conductor is wrong; their monotonic clocks are right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from holdstill_protocol.messages import RefusalCode
from lab.faults.fault import NO_SNAPSHOT, Fault
from lab.faults.invocations import wrong_clock
from lab.faults.steps import attempt_of, cloud_of, refused

if TYPE_CHECKING:
    from lab.faults.world import World

GROUP = "clocks"

HOUR_S = 3_600
_BORNE_S = 240
"""What AWS's signatures bear: they last for 300 s."""

_EXACT_TO_S = 15
"""A command expires up to 9 s after it was sent: what is seen of its clock is as exact as that."""


def _agents(ahead_s: int) -> Callable[[World], None]:
    def inject(world: World) -> None:
        world.restart_agent(environment=wrong_clock(ahead_s))
        world.inject_now()
        world.begin()

    return inject


def _conductors(ahead_s: int) -> Callable[[World], None]:
    def inject(world: World) -> None:
        world.inject_now()
        world.trial.runs.append(cloud_of(world).begin(ahead_s=ahead_s))

    return inject


def _nothing_begun(world: World) -> Iterable[str]:
    """Yield what is there of a run whose conductor could do nothing, or that nobody was told."""
    cloud, run = cloud_of(world), world.trial.runs[-1]
    if cloud.record(run) or cloud.lease():
        yield "there is a record, or a lease"
    if "Signature not yet current" not in cloud.said(run):
        yield f"the function does not say what is wrong: {cloud.said(run)[-300:]!r}"
    if run in world.agent_log.read_text():
        yield "the host was asked"


def _tells_the_difference(form: str, wrong_s: int = HOUR_S) -> Callable[[World], Iterable[str]]:
    """Return what yields a sentence where the refusal does not say how wrong the clock is."""

    def afterwards(world: World) -> Iterable[str]:
        said = attempt_of(world).get("refused", {}).get("detail", "")
        found = re.search(form, said)
        if not found or abs(float(found[1]) - wrong_s) > _EXACT_TO_S:
            yield f"the refusal does not tell the difference: {said!r}"
        if lease := cloud_of(world).lease():
            yield f"the run left a lease of {lease['owner']}"

    return afterwards


FAULTS = (
    Fault(
        name="agents-clock-an-hour-ahead",
        group=GROUP,
        law="An agent whose clock is wrong refuses, and says by how much.",
        inject=_agents(HOUR_S),
        verdicts=NO_SNAPSHOT,
        reasons=refused(RefusalCode.CLOCK_SKEW),
        afterwards=_tells_the_difference(r"clock is ([\d.]+) s ahead of the queue's"),
    ),
    Fault(
        name="agents-clock-an-hour-behind",
        group=GROUP,
        law="An agent whose clock is wrong refuses, and says by how much.",
        inject=_agents(-HOUR_S),
        verdicts=NO_SNAPSHOT,
        reasons=refused(RefusalCode.CLOCK_SKEW),
        afterwards=_tells_the_difference(r"clock is ([\d.]+) s behind the queue's"),
    ),
    Fault(
        name="conductors-clock-an-hour-ahead",
        group=GROUP,
        law="A conductor whose clock AWS does not bear begins nothing, and its function fails.",
        inject=_conductors(HOUR_S),
        verdicts=NO_SNAPSHOT,
        dead_conductor=True,
        afterwards=_nothing_begun,
    ),
    Fault(
        name="conductors-clock-minutes-behind",
        group=GROUP,
        law="A command of a conductor whose clock is behind is expired: nothing is held for it.",
        inject=_conductors(-_BORNE_S),
        verdicts=NO_SNAPSHOT,
        reasons=refused(RefusalCode.EXPIRED),
        afterwards=_tells_the_difference(r"expired ([\d.]+) s before", _BORNE_S),
    ),
)
