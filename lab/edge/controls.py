"""What a test or the benchmark sets in the running CloudFront: delays, faults, limits."""

from dataclasses import dataclass
from enum import StrEnum

from lab.controls import FaultControls


class Fault(StrEnum):
    """How the next call of `fault_action` fails."""

    THROTTLE = "throttle"
    """Throttling, nothing made."""
    TOO_MANY = "too-many"
    """TooManyInvalidationsInProgress, nothing made: somebody else's fill the distribution."""
    UNAVAILABLE = "unavailable"
    """ServiceUnavailable (503), nothing made."""
    UNAVAILABLE_AFTER = "unavailable-after"
    """ServiceUnavailable although the invalidation was made: an unknown outcome."""
    HANG = "hang"
    """No answer until the caller gives up, nothing made."""
    HANG_AFTER = "hang-after"
    """No answer until the caller gives up, although the invalidation was made."""

    @property
    def comes_after_the_deed(self) -> bool:
        """Whether the call is carried out before it fails."""
        return self in {Fault.UNAVAILABLE_AFTER, Fault.HANG_AFTER}


@dataclass(frozen=True, slots=True)
class Controls(FaultControls[Fault]):
    """CloudFront's settings, replaced as a whole at each change."""

    latency_ms: float = 0
    """Added to each call, after the deed, before the answer."""
    effect_s: float = 0.2
    """From a call to the drop of what it invalidates. At AWS under 5 s (95th percentile)."""
    completion_s: float = 1
    """From a call to `Completed`. At AWS under 25 s (95th percentile)."""
    limits: bool = True
    """Of the paths in progress on a distribution."""
    exact_in_progress: int = 3000
    wildcards_in_progress: int = 15
    throttling: bool = True
    """Off for a comparison with tools that know no budget."""
    calls_per_s: float = 0.5
    burst: int = 6
    """Calls that a rested account has at once: users report Throttling at the sixth or seventh."""
    reads_count: bool = True
    """Whether calls that only read spend the same budget. AWS does not say."""
    reused_reference: str = "InvalidationBatchAlreadyExists"
    """The code for a known reference with other paths, as documented. Users quote InvalidArgument
    from the real service, which is also what botocore's list of CreateInvalidation's errors has."""
    fault_action: str = "CreateInvalidation"

    @staticmethod
    def fault_of(name: str) -> Fault:
        """Return the fault of that name. Raise ValueError."""
        return Fault(name)
