"""`python -m lab demo`: in a Region in a box, a backup with the proof of its copy; then uploads."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lab import site_demo
from lab.screen import Screen
from lab.site import BUCKET
from lab.stage import TARGET, Stage
from lab.timeline import Timeline

_SETTLE_S = 2.0
"""How long the probes run before the backup, to show what a gap is without one."""

_MEANINGS = {
    "consistent": "lock and freeze both held until the snapshot call had returned",
    "filesystem-consistent": "the freeze held until the snapshot call had returned; no database",
}


def demo(workdir: Path, *, keep: bool, no_disks: bool) -> int:
    """Run the demo; return 0 only if verdict and copy are good and every upload was seen."""
    screen = Screen()
    real_disks = False if no_disks else None
    with Stage(workdir, say=screen.step, real_disks=real_disks, site=site_demo.fill) as stage:
        screen.step(f"the host: {stage.host.reality}")
        good = _back_up_and_check(stage, screen)
        stage.host.load.stop()  # it would keep one of two cores busy, and AWS has more
        good = site_demo.show(stage.region, stage.site, screen) and good
        if keep:
            _keep(stage, workdir)
    screen.step("nothing is left: no process, mount, loop device or frozen filesystem")
    return 0 if good else 1


def _back_up_and_check(stage: Stage, screen: Screen) -> bool:
    before_ns = time.monotonic_ns()
    time.sleep(_SETTLE_S)
    timeline = Timeline(stage)
    timeline.news(until=datetime.now(UTC))
    begun_ns = time.monotonic_ns()
    at = stage.fire()
    screen.step(f"the schedule of {TARGET} will fire at {at:%H:%M:%S} UTC")
    record = _watch(stage, timeline, at)
    ended_ns = time.monotonic_ns()
    verdict = str(record.get("verdict", "none: no snapshot was made"))
    screen.step(f"the run has {record['state']}")
    attempt = record["attempts"][-1] if record["attempts"] else {}
    for kind, probe in stage.host.probes.items():
        usual, stall = probe.gap_ms(before_ns, begun_ns), probe.gap_ms(begun_ns, ended_ns)
        screen.facts({f"{kind} stall": f"{stall:.0f} ms, seen from outside; without {usual:.0f}"})
    screen.facts(_figures(attempt))
    snapshots = stage.snapshot_ids(record)
    for snapshot in snapshots:
        screen.facts({"snapshot": snapshot, **stage.tags(snapshot)})
    screen.facts({"verdict": verdict, "meaning": _MEANINGS.get(verdict, "not to be trusted")})
    return _check(stage, screen, snapshots, attempt) and verdict in _MEANINGS


def _watch(stage: Stage, timeline: Timeline, at: datetime) -> Mapping[str, Any]:
    """Print what happens until the run has ended; return its record."""
    give_up_at = time.monotonic() + 120
    while (record := stage.run_record(at)) is None or record["state"] == "open":
        if time.monotonic() > give_up_at:
            return stage.wait_for_run(at, within_s=0)
        _print(timeline, at, until=datetime.now(UTC) - timedelta(seconds=1))
        time.sleep(0.2)
    time.sleep(0.3)  # the last lines are written after the record
    _print(timeline, at, until=datetime.now(UTC))
    return record


def _print(timeline: Timeline, at: datetime, until: datetime) -> None:
    for happening in timeline.news(until):
        seconds = (happening.at - at).total_seconds()
        line = f"{happening.who:<6} {happening.name:<20} {happening.fields}".rstrip()
        print(f"{seconds:+9.3f} s  {line[:160]}", flush=True)


def _figures(attempt: Mapping[str, Any]) -> dict[str, object]:
    """Return how long things took, as agent and conductor measured them."""
    frozen, thawed = attempt.get("frozen", {}), attempt.get("thawed", {})
    timings = attempt.get("timings", {})
    figures = {
        "lock wait": frozen.get("lock_wait_ms"),
        "freeze": frozen.get("freeze_ms"),
        "snapshot call": timings.get("call_ms"),
        "freeze window": thawed.get("held_ms"),
        "locked": thawed.get("locked_ms"),
    }
    return {name: f"{value} ms" for name, value in figures.items() if value is not None} or {
        "attempt": "; ".join(attempt.get("reasons", ["none was made"]))
    }


def _check(stage: Stage, screen: Screen, snapshots: list[str], attempt: Mapping[str, Any]) -> bool:
    if not snapshots:
        screen.step("there is no copy to check")
        return False
    screen.step("making a volume of the snapshot, and checking what is on it")
    position = attempt.get("frozen", {}).get("position") or {}
    where = f"{position['file']}:{position['offset']}" if position.get("file") else None
    with stage.restored(snapshots) as copies:
        report = stage.host.check(copies, stage.moment(snapshots[0]), where)
    for line in str(report).splitlines():
        print(f"          {line}", flush=True)
    screen.step("THE COPY HOLDS" if report.holds else "THE COPY DOES NOT HOLD")
    return report.holds


def _keep(stage: Stage, workdir: Path) -> None:
    print(
        f"\nThe lab goes on. In another shell:\n"
        f'  eval "$(.venv/bin/python -m lab env --workdir {workdir})"\n'
        f"  .venv/bin/aws ec2 describe-snapshots --owner-ids self\n"
        f"  tail -f {stage.agent_log}\n"
        f"  .venv/bin/aws s3 cp README.md s3://{BUCKET}/ && curl -I {stage.site.url}/README.md\n"
        f"  .venv/bin/holdstill invalidations\n"
        f"Ctrl-C ends it and leaves nothing.",
        flush=True,
    )
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print()
