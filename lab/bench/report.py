"""What was measured, as a table, as JSON and as a picture."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.bench.measure import Stall

_TITLES = {
    "none": "nothing injected",
    "api300": "CreateSnapshot takes 300 ms more",
    "api300_hop10": "and every SQS hop 10 ms more",
}
_LABELS = {
    "control": "no backup",
    "script": "2010 script",
    "local": "local, warm",
    "limit": "local, RCU expedited",
    "holdstill": "Holdstill",
}
Summary = dict[str, Any]


def summarize(stalls: Sequence[Stall], records: Sequence[Mapping[str, Any]]) -> Summary:
    """Return the percentiles, and where the milliseconds of Holdstill's runs go (medians)."""
    worlds: Summary = {}
    for world in dict.fromkeys(stall.world for stall in stalls):
        worlds[world] = {}
        for way in dict.fromkeys(stall.way for stall in stalls):
            here = [stall for stall in stalls if (stall.world, stall.way) == (world, way)]
            worlds[world][way] = {
                "sql_gap_ms": _percentiles([stall.sql_gap_ms for stall in here]),
                "file_gap_ms": _percentiles([stall.file_gap_ms for stall in here]),
            }
    runs = min(
        sum((stall.world, stall.way) == (world, way) for stall in stalls)
        for world in worlds
        for way in worlds[world]
    )
    return {"runs": runs, "worlds": worlds, "holdstill_steps": _steps(stalls, records)}


def _percentiles(values: Sequence[float]) -> Summary:
    ordered = sorted(values)
    nearest = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {
        "p50": round(statistics.median(ordered), 2),
        "p95": round(nearest, 2),
        "max": round(ordered[-1], 2),
    }


def _steps(stalls: Sequence[Stall], records: Sequence[Mapping[str, Any]]) -> Summary:
    worlds = [stall.world for stall in stalls if stall.way == "holdstill"]
    steps: Summary = {}
    for world in dict.fromkeys(worlds):
        attempts = [
            record["attempts"][-1]
            for where, record in zip(worlds, records, strict=True)
            if where == world
        ]
        figures = {
            "lock_wait_ms": [a["frozen"]["lock_wait_ms"] for a in attempts],
            "freeze_ms": [a["frozen"]["freeze_ms"] for a in attempts],
            "frozen_to_call_us": [a["timings"]["frozen_to_call_us"] for a in attempts],
            "call_ms": [a["timings"]["call_ms"] for a in attempts],
            "call_to_thaw_us": [a["timings"]["call_to_thaw_us"] for a in attempts],
            "held_ms": [a["thawed"]["held_ms"] for a in attempts],
            "locked_ms": [a["thawed"]["locked_ms"] for a in attempts],
        }
        steps[world] = {
            name: float(statistics.median(map(float, values))) for name, values in figures.items()
        }
    return steps


def table(summary: Summary) -> str:
    """Return the stalls as a table: ms p50/p95/max, and against the local program's median."""
    lines = []
    for world, ways in summary["worlds"].items():
        lines.append(f"{_TITLES[world]}  ({summary['runs']} backups each)")
        lines.append(f"  {'':<21}{'SQL p50/p95/max':>27}{'x local':>9}{'file p50/p95/max':>27}")
        local = ways["local"]["sql_gap_ms"]["p50"]
        for way, gaps in ways.items():
            sql, file = gaps["sql_gap_ms"], gaps["file_gap_ms"]
            ratio = sql["p50"] / local
            lines.append(f"  {_LABELS[way]:<21}{_three(sql):>27}{ratio:>9.2f}{_three(file):>27}")
        lines.append("")
    lines.append("Where the milliseconds of Holdstill's runs go (medians)")
    for world, steps in summary["holdstill_steps"].items():
        lines.append(f"  {_TITLES[world]}: " + ", ".join(f"{n} {v:g}" for n, v in steps.items()))
    return "\n".join(lines)


def _three(gap: Mapping[str, float]) -> str:
    return f"{gap['p50']:.1f} / {gap['p95']:.1f} / {gap['max']:.1f}"


def draw(stalls: Sequence[Stall], path: Path) -> None:
    """Draw every stall as a dot, the medians as lines, a panel a world."""
    import matplotlib as mpl  # noqa: PLC0415 - a second of imports that only the picture needs

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    worlds = list(dict.fromkeys(stall.world for stall in stalls))
    ways = list(dict.fromkeys(_LABELS))
    figure, panels = plt.subplots(1, len(worlds), figsize=(13, 4.2), sharey=True)
    for panel, world in zip(panels, worlds, strict=True):
        for place, way in enumerate(ways):
            gaps = [s.sql_gap_ms for s in stalls if (s.world, s.way) == (world, way)]
            colour = "tab:red" if way == "holdstill" else "tab:gray"
            panel.scatter([place] * len(gaps), gaps, s=14, alpha=0.5, color=colour)
            median = statistics.median(gaps)
            panel.hlines(median, place - 0.3, place + 0.3, color=colour, linewidth=2)
            panel.annotate(
                f"{median:.0f}",
                (place + 0.34, median),
                color=colour,
                fontsize=8,
                verticalalignment="center",
            )
        panel.set_title(_TITLES[world], fontsize=10)
        panel.set_xticks(range(len(ways)), [_LABELS[way] for way in ways], rotation=30, ha="right")
        panel.set_yscale("log")
        panel.grid(axis="y", alpha=0.3)
    panels[0].set_ylabel("longest gap between SQL writes, ms")
    figure.suptitle("Write stall of one snapshot, in the lab (ratios, not AWS)", fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def write(summary: Summary, path: Path) -> None:
    """Write the summary as JSON."""
    path.write_text(json.dumps(summary, indent=2) + "\n")
