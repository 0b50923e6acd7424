"""`python -m lab uploads`: 10,000 uploads in a minute through the deployed pipeline, and the bill.

The emulator takes 100 to 300 objects a second when nothing else happens, and so not 10,000 in a
minute beside the pipeline, on the same two cores. So the old objects are put, every visitor's
address is cached, and the new objects are put before the template is deployed; in the storm the
messages that S3 would send are sent to its queue in its place. From there on all is as deployed.
"""

import json
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from functions.domain.path_prices import FREE_PATHS, fee_of
from lab import storm
from lab.invalidated import Invalidated, invalidations
from lab.screen import Screen
from lab.site import Site, shows, target_of
from lab.site_stage import SiteStage
from lab.storm import Event, Storm, Trouble

_OLD, _NEW = b"old", b"new"
_EFFECT_S, _COMPLETION_S = 2.0, 10.0
"""The edge's delays here; at AWS under 5 and 25 s (95th percentile)."""
_TROUBLE_EVERY = 2
"""Calls, of which the last one fails: so few are made that each fault should come."""
_WITHIN_S = 420.0
"""After the storm, until every visitor must have seen the new file."""
_VISITORS = 4


@dataclass(slots=True)
class Run:
    """One storm and what was seen of it."""

    plan: Storm
    screen: Screen
    puts_per_s: float = 0.0
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def fill(self, site: Site) -> None:
        """Put the old objects, let visitors cache them, and put the new ones."""
        keys = [*self.plan.changed, *self.plan.left_alone]
        self.screen.step(f"putting {len(keys)} objects into {self.plan.folders} folders")
        began = time.monotonic()
        site.fill(dict.fromkeys(keys, _OLD))
        self.puts_per_s = len(keys) / (time.monotonic() - began)
        self.screen.step(f"{self.puts_per_s:.0f} a second; visitors fill the edge's cache")
        _visit(site, keys)
        self.screen.step("putting the new versions, which nobody is told of yet")
        site.fill(dict.fromkeys(self.plan.changed, _NEW))


def run(workdir: Path, build: Path, plan: Storm) -> int:
    """Make the storm, write `build/uploads.json`; return 0 if nothing was stale or refused."""
    screen = Screen()
    one = Run(plan, screen)
    with SiteStage(workdir, say=screen.step, fill=one.fill) as stage:
        stage.region.edge.control(effect_s=_EFFECT_S, completion_s=_COMPLETION_S)
        report = _storm(one, stage)
    build.mkdir(exist_ok=True)
    (build / "uploads.json").write_text(json.dumps(report, indent=2) + "\n")
    screen.facts({name: _shown(value) for name, value in report.items()})
    good = not report["stale"] and not report["refused"]
    screen.step("EVERY CHANGED OBJECT IS FRESH, NO LIMIT WAS EXCEEDED" if good else "NOT GOOD")
    return 0 if good else 1


def _storm(one: Run, stage: SiteStage) -> dict[str, Any]:
    plan, screen, site, edge = one.plan, one.screen, stage.site, stage.region.edge
    events = storm.events_of(plan)
    screen.step(f"the storm: {plan.uploads} uploads in {plan.over_s:g} s, {len(events)} messages")
    one.began_at = datetime.now(UTC)
    with Trouble(edge, _TROUBLE_EVERY):
        late_s = storm.send(stage.region, events, one.began_at)
        screen.step(f"all is sent, the last {late_s:.1f} s late; visiting until all is fresh")
        fresh = _until_fresh(site, plan.changed)
    ended = time.time()
    screen.step(f"{len(fresh)} of {plan.uploads} are fresh")
    (distribution,) = site.distributions
    time.sleep(_COMPLETION_S)
    made = invalidations(stage.region, distribution)
    state = edge.state()
    calls = [(call.created_at - one.began_at).total_seconds() for call in made]
    return {
        "uploads": plan.uploads,
        "messages": len(events),
        "messages_from": "the lab, as S3 writes them",
        "puts_per_s": round(one.puts_per_s),
        "stale": sorted(set(plan.changed) - fresh),
        "last_call_after_s": round(max(calls, default=0.0), 1),
        "all_visited_after_s": round(ended - one.began_at.timestamp(), 1),
        **_calls(one, events, made),
        **_counted(state, distribution, plan),
        "unchanged_kept": _kept(site, plan),
        "unchanged": len(plan.left_alone),
    }


def _until_fresh(site: Site, keys: Sequence[str]) -> set[str]:
    """Return the keys whose visitors see the new object, once all do or the time is up."""
    left = {target_of(key): key for key in keys}
    fresh: set[str] = set()
    give_up_at = time.monotonic() + _WITHIN_S
    while left and time.monotonic() < give_up_at:
        found = site.wait_until(dict.fromkeys(left, shows(_NEW)), within_s=0.001, every_s=0)
        fresh |= {left.pop(target) for target in found}
        time.sleep(1 if left else 0)
    return fresh


def _calls(one: Run, events: Sequence[Event], made: Sequence[Invalidated]) -> dict[str, Any]:
    """Return how long it was from each upload to the call that was made for it.

    The others needed none: a wildcard for something else had cleared them already.
    """
    called: dict[str, float] = {}
    for invalidation in made:
        for key in invalidation.keys:
            called.setdefault(key, invalidation.created_at.timestamp())
    began = one.began_at.timestamp()
    uploaded = {event.key: event.at_s for event in events if event.due_s == event.at_s}
    took = sorted(called[key] - began - uploaded[key] for key in uploaded if key in called)
    if not took:
        return {"called_for": 0}
    wildcards = [path for one in made for path in one.paths if path.endswith("*")]
    return {
        "called_for": len(took),
        "upload_to_call_s": {
            "p50": round(statistics.median(took), 1),
            "p95": round(took[int(0.95 * (len(took) - 1))], 1),
            "max": round(took[-1], 1),
        },
        "wildcards": len(wildcards),
        "a_reason": next((text for one in made for text in one.reasons.values()), ""),
    }


def _counted(state: dict[str, Any], distribution: str, plan: Storm) -> dict[str, Any]:
    """Return the edge's own counts, and what they cost against a path for each upload."""
    edge = state["distributions"][distribution]
    paths = edge["paths"]["exact"] + edge["paths"]["wildcards"]
    return {
        "invalidations": edge["invalidations"],
        "calls": state["calls"],
        "refused": state["refused"],
        "faults_injected": state["faults"],
        "paths": edge["paths"],
        "highest_in_progress": edge["highest_in_progress"],
        "limits": {"exact": 3000, "wildcards": 15},
        "usd": {
            "this": _usd(paths, 0),
            "one_path_an_upload": _usd(plan.uploads, 0),
            "this_with_no_free_ones_left": _usd(paths, FREE_PATHS),
            "one_path_an_upload_with_no_free_ones_left": _usd(plan.uploads, FREE_PATHS),
        },
    }


def _usd(paths: int, used: int) -> float:
    return round(fee_of(paths, used).usd, 3)


def _kept(site: Site, plan: Storm) -> int:
    visits = site.visit_all(map(target_of, plan.left_alone))
    return sum(visit.hit for visit in visits.values())


def _visit(site: Site, keys: Sequence[str]) -> None:
    targets = [target_of(key) for key in keys]
    with ThreadPoolExecutor(_VISITORS) as pool:
        list(pool.map(site.visit_all, [targets[i::_VISITORS] for i in range(_VISITORS)]))


def _shown(value: object) -> object:
    if isinstance(value, dict):
        return "  ".join(f"{name} {count}" for name, count in value.items()) or "none"
    if isinstance(value, list):
        return f"{len(value)}: {value[:3]}" if value else "none"
    return value
