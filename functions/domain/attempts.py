"""Whether an attempt that did not succeed is followed by another, and when."""

from dataclasses import dataclass
from typing import Final

APART_MS: Final = 15_000
"""EC2 wants 15 s between two snapshots of one volume; a host that refused gets as long a rest."""


@dataclass(frozen=True, slots=True)
class Again:
    """Try again at `at_ms` of the conductor's clock."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Enough:
    """Do not try again, and why."""

    why: str


def next_attempt(
    *, made: int, limit: int, last_ms: int, now_ms: int, needed_ms: int, ends_by_ms: int
) -> Again | Enough:
    """Decide after `made` attempts, of which the policy allows `limit`.

    `last_ms` is when the last one called EC2, or began where it called nothing; `needed_ms` the
    longest that an attempt takes; `ends_by_ms` the end of the conductor's time. One clock.
    """
    if made >= limit:
        return Enough("attempts-spent")
    at_ms = max(now_ms, last_ms + APART_MS)
    if at_ms + needed_ms > ends_by_ms:
        return Enough("out-of-time")
    return Again(at_ms)
