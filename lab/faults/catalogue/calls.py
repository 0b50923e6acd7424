"""EC2 fails the snapshot call, or what goes before and after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from functions.domain.verdict import Broken, Verdict
from holdstill_protocol.conductor_model import Stop
from holdstill_protocol.messages import ThawReason
from lab.ec2.controls import Fault as Ec2Fault
from lab.faults import fates
from lab.faults.fault import CRASH_CONSISTENT, NO_SNAPSHOT, Fault
from lab.faults.steps import (
    SPENT,
    attempt_of,
    begin_calmly_later,
    cloud_of,
    next_run_is_consistent,
    run_until,
    stop_at_call,
    stopped,
    thawed_by,
)

if TYPE_CHECKING:
    from lab.faults.world import World

GROUP = "calls"

_SLOW_MS = 5_000
"""More than the freeze budget, and than the call's own time-out, which comes first."""

_AFTER_S = 1.2
"""By then the call's client has given up, and the host is thawed."""

_UNKNOWN = frozenset({Broken.CALL_OUTCOME_UNKNOWN, SPENT})
_REFUSED = frozenset({Broken.CALL_REFUSED, SPENT})
_UNPROVEN: frozenset[Verdict | None] = frozenset({Verdict.UNPROVEN})
"""Nothing was found: a snapshot that EC2 lists later is tagged so from its creation."""


def _controlled(**changes: object) -> Callable[[World], None]:
    """Return what changes the EC2 endpoint before a run; the host is frozen when this returns."""

    def inject(world: World) -> None:
        cloud = begin_calmly_later(world)
        cloud.control_ec2(**changes)
        world.begin()
        world.await_frozen()
        world.inject_now()

    return inject


def _slower_than_the_budget(world: World) -> None:
    cloud = stop_at_call(world)
    cloud.control_ec2(latency_ms=_SLOW_MS)
    cloud.conductor.ec2.calm()


def _dry_run_refused(world: World) -> None:
    cloud = begin_calmly_later(world)
    fate = fates.refused_by_ec2(403, "UnauthorizedOperation", "You are not authorized")
    run_until(world, cloud.conductor.ec2.meet("CreateSnapshot", fate, dry_run=True))


def _endpoint_down(world: World) -> None:
    cloud = stop_at_call(world)
    cloud.conductor.ec2.down()


def _tagging_fails(world: World) -> None:
    cloud = cloud_of(world)
    fate = fates.refused_by_ec2(500, "InternalError", "An internal error has occurred")
    run_until(world, cloud.conductor.ec2.meet("CreateTags", fate, times=None))


def _made_after_the_timeout(world: World) -> None:
    cloud = cloud_of(world)
    run_until(world, cloud.conductor.ec2.meet("CreateSnapshot", fates.done_unheard(_AFTER_S)))


def _thawed_when_told(world: World) -> Iterable[str]:
    yield from thawed_by(world, ThawReason.COMMANDED)


def _and_the_next_run(world: World) -> Iterable[str]:
    yield from _thawed_when_told(world)
    yield from next_run_is_consistent(world)


def _named_the_permission(world: World) -> Iterable[str]:
    said = attempt_of(world).get("detail", "")
    if "ec2:CreateSnapshot" not in said:
        yield f"the record says {said!r}, and not which permission is missing"
    if attempt_of(world).get("frozen"):
        yield "the host was frozen for a call that EC2 would not take"


def _fault(
    name: str,
    law: str,
    inject: Callable[[World], None],
    *,
    verdicts: frozenset[Verdict | None],
    reasons: frozenset[str],
    afterwards: Callable[[World], Iterable[str]] = _thawed_when_told,
) -> Fault:
    return Fault(name, GROUP, law, inject, verdicts, reasons, afterwards=afterwards)


FAULTS = (
    _fault(
        "call-slower-than-the-budget",
        "A snapshot call that takes too long is given up within the budget.",
        _slower_than_the_budget,
        verdicts=CRASH_CONSISTENT,
        reasons=_UNKNOWN,
    ),
    _fault(
        "call-throttled",
        "A throttled call is a failed backup, and the host goes on at once.",
        _controlled(fault=Ec2Fault.THROTTLE),
        verdicts=NO_SNAPSHOT,
        reasons=_REFUSED,
    ),
    _fault(
        "call-failing",
        "A call that failed is not taken for a snapshot, nor for none before EC2 was asked.",
        _controlled(fault=Ec2Fault.ERROR),
        verdicts=_UNPROVEN,
        reasons=_UNKNOWN,
    ),
    _fault(
        "call-failing-though-it-was-made",
        "A snapshot behind an error is found by its tag, and not believed.",
        _controlled(fault=Ec2Fault.ERROR_AFTER),
        verdicts=CRASH_CONSISTENT,
        reasons=_UNKNOWN,
    ),
    _fault(
        "call-without-an-answer",
        "A call that nobody answers ends within the budget.",
        _controlled(fault=Ec2Fault.HANG),
        verdicts=_UNPROVEN,
        reasons=_UNKNOWN,
    ),
    _fault(
        "call-without-an-answer-though-it-was-made",
        "A snapshot whose answer was lost is found by its tag, and not believed.",
        _controlled(fault=Ec2Fault.HANG_AFTER),
        verdicts=CRASH_CONSISTENT,
        reasons=_UNKNOWN,
    ),
    _fault(
        "call-made-after-its-timeout",
        "A snapshot made after the thaw is never called consistent.",
        _made_after_the_timeout,
        verdicts=CRASH_CONSISTENT,
        reasons=_UNKNOWN,
    ),
    _fault(
        "ec2-down-while-frozen",
        "EC2 gone while the host is frozen: the host is told to thaw at once.",
        _endpoint_down,
        verdicts=_UNPROVEN,
        reasons=_UNKNOWN,
    ),
    _fault(
        "dry-run-refused",
        "Where EC2 would refuse the call, nothing is frozen for it.",
        _dry_run_refused,
        verdicts=NO_SNAPSHOT,
        reasons=stopped(Stop.PLAN_REFUSED),
        afterwards=_named_the_permission,
    ),
    _fault(
        "verdict-not-tagged",
        "A snapshot that could not be tagged stays unproven, whatever was proven.",
        _tagging_fails,
        verdicts=_UNPROVEN,
        reasons=frozenset({Broken.VERDICT_NOT_TAGGED, SPENT}),
        afterwards=_and_the_next_run,
    ),
)
