"""Measure the stalls: all worlds, all ways, interleaved, again and again."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lab.bench.ways import Way, Ways

WORLDS = {
    "none": {"latency_ms": 0, "hop_ms": 0},
    "api300": {"latency_ms": 300, "hop_ms": 0},
    "api300_hop10": {"latency_ms": 300, "hop_ms": 10},
}
WINDOW_S = 2.5
"""Every way is watched for this long, or the longest gap would grow with the time looked at."""
REST_S = 0.25
"""Between freezes: one soon after a thaw is fast for no merit of its own."""


@dataclass(frozen=True, slots=True)
class Stall:
    """The longest gap between writes around one backup."""

    world: str
    way: str
    sql_gap_ms: float
    file_gap_ms: float


def measure(ways: Ways, rounds: int) -> Iterator[Stall]:
    """Yield the stalls as they are measured, each world and way once in every round."""
    names = list(ways.named)
    for number in range(rounds):
        turned = names[number % len(names) :] + names[: number % len(names)]
        for world in WORLDS:
            with _world(ways, world):
                for name in turned:
                    yield _watched(ways, world, name, ways.named[name])


@contextmanager
def _world(ways: Ways, world: str) -> Iterator[None]:
    region, injected = ways.stage.region, WORLDS[world]
    # Each copy is dropped once it is made: shared extents would make the next one slower. And
    # each snapshot is deleted: EC2's 15 s between two would be all of the benchmark's time.
    region.control_ec2(latency_ms=injected["latency_ms"], limits=False, keep_copies=False)
    region.set_hop_ms(injected["hop_ms"])
    try:
        yield
    finally:
        region.control_ec2(latency_ms=0)
        region.set_hop_ms(0)


def _watched(ways: Ways, world: str, name: str, way: Way) -> Stall:
    time.sleep(REST_S)
    begun_ns = time.monotonic_ns()
    snapshots = way()
    time.sleep(max(0.1, WINDOW_S - (time.monotonic_ns() - begun_ns) / 1e9))
    ended_ns = time.monotonic_ns()
    time.sleep(0.05)  # so that a write is there after the window
    gaps = {
        kind: probe.gap_ms(begun_ns, ended_ns) for kind, probe in ways.stage.host.probes.items()
    }
    ec2: Any = ways.stage.region.client("ec2")
    for snapshot in snapshots:
        ec2.delete_snapshot(SnapshotId=snapshot)
    return Stall(world, name, gaps["sql"], gaps["file"])
