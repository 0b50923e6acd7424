"""What a test or the benchmark sets in the running endpoint: latency, faults, limits."""

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    """How the next CreateSnapshot or CreateSnapshots fails (a DryRun never does)."""

    THROTTLE = "throttle"
    """RequestLimitExceeded, nothing made."""
    ERROR = "error"
    """InternalError, nothing made."""
    ERROR_AFTER = "error-after"
    """InternalError although the snapshot was made: the outcome that must be reconciled."""
    HANG = "hang"
    """No answer until the caller gives up, nothing made."""
    HANG_AFTER = "hang-after"
    """No answer until the caller gives up, although the snapshot was made."""

    @property
    def makes_the_snapshot(self) -> bool:
        """Whether the copy is made before the call fails."""
        return self in {Fault.ERROR_AFTER, Fault.HANG_AFTER}


@dataclass(frozen=True, slots=True)
class Controls:
    """The endpoint's settings, replaced as a whole at each change."""

    latency_ms: float = 0
    """Added to CreateSnapshot(s), after the copy, before the answer; to a DryRun too."""
    completion_ms: float = 500
    """How long a snapshot stays `pending` after its call."""
    limits: bool = True
    """EC2's own: a time between two snapshots of a volume, at most 5 of it pending. Off for the
    benchmark, which makes hundreds."""
    spacing_s: float = 15
    """The least time between two snapshots of a volume."""
    keep_copies: bool = True
    """Off for the benchmark: a copy is made, and dropped before the call is answered.

    FICLONE takes 20 us for each extent of the image, and a write to a block that a copy shares
    makes a new one: under load a copy took 0.5 ms at first, 100 ms when 25 others were kept, and
    0.5 ms still when each was dropped at once, before anybody wrote again.
    """
    fault: Fault | None = None
    fault_times: int = 1
    """How many calls the fault still hits."""

    def changed(self, changes: dict[str, Any]) -> "Controls":
        """Return the settings with `changes`. Raise ValueError for an unknown one."""
        unknown = changes.keys() - {field.name for field in fields(self)}
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
        fault = changes.get("fault", self.fault)
        return replace(self, **{**changes, "fault": Fault(fault) if fault else None})

    def after_a_hit(self) -> "Controls":
        """Return the settings once the fault has hit one more call."""
        left = self.fault_times - 1
        return replace(self, fault=self.fault if left > 0 else None, fault_times=max(left, 1))
