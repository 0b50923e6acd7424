"""Writers seen from outside: when they wrote again, and how long they had to wait."""

from __future__ import annotations

import time
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.faults.world import World
    from lab.host import Probe

_RECENT_NS = 50_000_000
_STEADY_NS = 30_000_000
_POLL_S = 0.002


@dataclass(frozen=True, slots=True)
class Waited:
    """What the slower of the SQL and the file writer had to bear, in milliseconds."""

    first_write_ms: float
    stall_ms: float


def await_writes(world: World, until_ns: int) -> bool:
    """Wait until every writer writes steadily; return whether in time."""
    steady_since_ns = 0
    while (now_ns := time.monotonic_ns()) < until_ns:
        writing = all(now_ns - probe.latest_ns < _RECENT_NS for probe in writers(world))
        if not (writing and _wrote_since_injection(world)):
            steady_since_ns = 0
        elif not steady_since_ns:
            steady_since_ns = now_ns
        elif now_ns - steady_since_ns >= _STEADY_NS:
            return True
        time.sleep(_POLL_S)
    return False


def waited(world: World, until_ns: int) -> Waited:
    """Measure the whole trial, up to `until_ns`."""
    trial = world.trial
    since_ns = trial.injected_ns or trial.began_ns
    first_ms = stall_ms = 0.0
    for probe in writers(world):
        samples = probe.samples()
        index = bisect_right(samples, since_ns)
        first_ns = samples[index] if index < len(samples) else until_ns
        first_ms = max(first_ms, (first_ns - since_ns) / 1e6)
        stall_ms = max(stall_ms, probe.gap_ms(trial.began_ns, until_ns))
    return Waited(round(first_ms, 1), round(stall_ms, 1))


def writers(world: World) -> list[Probe]:
    """Return the writers that can write: the SQL one ends with its server."""
    dead = world.host.server.pid is None
    return [probe for kind, probe in world.host.probes.items() if not (dead and kind == "sql")]


def _wrote_since_injection(world: World) -> bool:
    since_ns = world.trial.injected_ns or world.trial.began_ns
    return all(probe.latest_ns > since_ns for probe in writers(world))
