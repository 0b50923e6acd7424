"""How long the steps of an attempt took, by the conductor's own clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Moment(StrEnum):
    """What is worth a look at the clock; each has one moment, its first."""

    BEGUN = "begun"
    PREPARED = "prepared"
    FREEZE_SENT = "freeze-sent"
    FROZEN = "frozen"
    CALLED = "called"
    RETURNED = "returned"
    THAW_SENT = "thaw-sent"
    THAWED = "thawed"


@dataclass(frozen=True, slots=True)
class Timings:
    """None where the attempt did not come so far.

    `frozen_to_call_us` and `call_to_thaw_us` are microseconds that this side adds to the freeze
    window: from the reply's receipt to the call, from its return to the thaw.
    """

    prepare_ms: int | None = None
    plan_ms: int | None = None
    freeze_ms: int | None = None
    frozen_to_call_us: int | None = None
    call_ms: int | None = None
    call_to_thaw_us: int | None = None
    thaw_ms: int | None = None

    @classmethod
    def between(cls, at_ns: Mapping[Moment, int]) -> Self:
        """Return the timings of moments in nanoseconds of one clock."""

        def took(since: Moment, until: Moment, unit_ns: int) -> int | None:
            if since not in at_ns or until not in at_ns:
                return None
            return round((at_ns[until] - at_ns[since]) / unit_ns)

        ms, us = 1_000_000, 1_000
        return cls(
            prepare_ms=took(Moment.BEGUN, Moment.PREPARED, ms),
            plan_ms=took(Moment.PREPARED, Moment.FREEZE_SENT, ms),
            freeze_ms=took(Moment.FREEZE_SENT, Moment.FROZEN, ms),
            frozen_to_call_us=took(Moment.FROZEN, Moment.CALLED, us),
            call_ms=took(Moment.CALLED, Moment.RETURNED, ms),
            call_to_thaw_us=took(Moment.RETURNED, Moment.THAW_SENT, us),
            thaw_ms=took(Moment.THAW_SENT, Moment.THAWED, ms),
        )
