"""What a test or the benchmark sets in the running endpoint: latency, faults, limits."""

from dataclasses import dataclass
from enum import StrEnum

from lab.controls import FaultControls


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
class Controls(FaultControls[Fault]):
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

    @staticmethod
    def fault_of(name: str) -> Fault:
        """Return the fault of that name. Raise ValueError."""
        return Fault(name)
