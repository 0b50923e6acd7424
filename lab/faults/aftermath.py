"""Is all well after a fault? The host is looked at, then the run's record and its snapshots."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.faults.leftovers import Held, leftovers
from lab.faults.truth import Told, untruths, wrong_verdicts
from lab.faults.world import BUDGET_S
from lab.faults.writes import await_writes, waited

if TYPE_CHECKING:
    from lab.faults.fault import Fault
    from lab.faults.world import World

BEYOND_BUDGET_S = 1.0
"""Writes go on within the freeze budget and this."""

_AT_ONCE_MS = BUDGET_S * 1000 / 2
"""What is thawed at once, and not by a deadline, is thawed within this on the slowest machine."""

_RUN_ENDS_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What was measured and found after one trial.

    `first_write_ms`: from the injection to the first write completed after it, the later of SQL
    and file. `stall_ms`: the longest that either had to wait in the whole trial. `wrong_verdicts`:
    why the record or a tag says more than is true. `leftovers`: what is still held, stuck or left.
    `untruths`: what else of the record does not fit what happened, and a promise about time that
    was not kept.
    """

    fault: str
    first_write_ms: float
    stall_ms: float
    took_s: float
    verdict: str | None
    reasons: tuple[str, ...]
    wrong_verdicts: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    untruths: tuple[str, ...] = ()

    @property
    def as_promised(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def findings(self) -> tuple[str, ...]:
        """Everything that is wrong, as sentences."""
        return (*self.wrong_verdicts, *self.leftovers, *self.untruths)


def look(world: World, fault: Fault, before: Held) -> Aftermath:
    """Look at the world after `fault.inject`; nothing is left of the fault but `trial.undo`."""
    trial = world.trial
    allowed_s = BUDGET_S + BEYOND_BUDGET_S if fault.stall_s is None else fault.stall_s
    # Twice: a stall that is too long is measured, not cut off at what is allowed.
    went_on = await_writes(world, time.monotonic_ns() + round(2 * allowed_s * 1e9))
    until_ns = time.monotonic_ns()
    measured = waited(world, until_ns)
    trial.later.close()
    world.revive_agent()
    untrue: list[str] = []
    try:
        record = world.cloud.wait_ended(trial.runs[-1], _RUN_ENDS_WITHIN_S)
    except LabError as error:
        untrue.append(str(error))
        record = world.cloud.record(trial.runs[-1])
    left = [] if went_on else ["writers still wait"]
    left += leftovers(world, before, dead_conductor=fault.dead_conductor)
    measured = max(measured, waited(world, time.monotonic_ns()), key=lambda it: it.stall_ms)
    told = Told(trial.runs[-1], record, world.cloud.snapshots(trial.runs[-1]))
    if fault.goal_ms is not None and measured.first_write_ms > _AT_ONCE_MS:
        untrue.append(f"writes came back after {measured.first_write_ms} ms, by a deadline only")
    if measured.stall_ms > allowed_s * 1000:
        untrue.append(f"a writer waited {measured.stall_ms} ms; {allowed_s * 1000:g} are allowed")
    wrong = tuple(wrong_verdicts(world, fault, told))
    untrue += untruths(fault, told)
    untrue += fault.afterwards(world) if fault.afterwards else ()
    return Aftermath(
        fault.name,
        measured.first_write_ms,
        measured.stall_ms,
        round((time.monotonic_ns() - trial.began_ns) / 1e9, 2),
        told.verdict,
        told.reasons,
        wrong,
        tuple(left),
        tuple(untrue),
    )
