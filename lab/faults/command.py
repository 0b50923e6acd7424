"""`python -m lab faults`: choose faults, try them, print the table."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab.errors import LabError
from lab.faults import table
from lab.faults.aftermath import Aftermath
from lab.faults.catalogue import faults
from lab.faults.cloud import FaultyCloud
from lab.faults.errors import FaultError
from lab.faults.fault import Fault
from lab.faults.suite import Suite
from lab.faults.world import inhabited
from lab.host import DatabaseHost, DatabaseServer, MariaDb, MySql, probe
from lab.region import Region

KILLS = 10
KILLS_AT_LENGTH = 100
_SERVERS: dict[str, type[DatabaseServer]] = {kind.name: kind for kind in (MariaDb, MySql)}


@contextmanager
def suite(
    workdir: Path, server: str, seed: int, *, probe_every_ms: int = probe.EVERY_MS
) -> Iterator[Suite]:
    """Return a suite on a world of its own, with that server; everything goes with it."""
    with ExitStack() as undo:
        region = undo.enter_context(Region(workdir))
        if region.not_real:
            raise FaultError(f"the fault suite needs real disks: {region.not_real}")
        cloud = undo.enter_context(FaultyCloud(region))
        devices = [volume.device for volume in cloud.volumes]
        host = undo.enter_context(DatabaseHost(devices, _SERVERS[server]))
        world = undo.enter_context(
            inhabited(host, cloud, [region.workdir], probe_every_ms=probe_every_ms)
        )
        yield Suite(world, seed)


def listed() -> int:
    """Print every fault with its law."""
    for fault in faults():
        print(f"{fault.name}  [{', '.join(fault.servers)}]\n    {fault.law}")
    return 0


def run(
    workdir: Path, build: Path, names: Sequence[str], *, at_length: bool, seed: int | None
) -> int:
    """Try the faults whose names contain one of `names`; return 1 if any is not as promised."""
    chosen = [fault for fault in faults() if not names or any(name in fault.name for name in names)]
    if not chosen:
        raise LabError(f"no fault is named like {', '.join(names)}: see --list")
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    print(f"seed {seed}")
    widths = [row.name for row in _rows_without_trials(chosen)]
    print(table.head(widths), flush=True)
    rows: list[table.Row] = []
    for server in _SERVERS:
        here = [fault for fault in chosen if server in fault.servers]
        if not here:
            continue
        with suite(workdir, server, seed) as playing:
            for fault in here:
                kills = KILLS_AT_LENGTH if at_length else KILLS
                rows.append(_row(playing, fault, server, kills if fault.killing else 1))
                print(table.line(rows[-1], widths), flush=True)
    table.write(rows, build / "faults.json", seed=seed)
    broken = [row.name for row in rows if row.findings]
    print(f"{len(rows) - len(broken)} of {len(rows)} as promised; build/faults.json has all trials")
    return 1 if broken else 0


def _rows_without_trials(chosen: Sequence[Fault]) -> list[table.Row]:
    return [table.Row(fault, server, ()) for fault in chosen for server in fault.servers]


def _row(playing: Suite, fault: Fault, server: str, times: int) -> table.Row:
    aftermaths: list[Aftermath] = []
    error = None
    try:
        aftermaths.extend(playing.trial(fault, number) for number in range(1, times + 1))
    except LabError as failed:
        error = str(failed)
    return table.Row(fault, server, tuple(aftermaths), error)
