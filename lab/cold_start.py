"""`python -m lab cold-start`: the backup function's cold start against its clients' alone.

The function is the deployed asset, unchanged; its start ends with its first request to AWS, for
which all its clients must exist. The other side is a handler that makes the same clients as one
usually would; its start ends with its answer. So whatever more the function does before (imports,
settings, the event's check, the request itself) is counted against it.
"""

import json
import platform
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.asset import build_asset
from lab.errors import LabError
from lab.lambda_runtime import ColdStart, cold_start, compile_in_place, runtime_site
from lab.runtime_api import Step

_CLIENTS = """\
import boto3

commands = boto3.client("sqs")
replies = boto3.client("sqs")
ec2 = boto3.client("ec2")
dynamodb = boto3.client("dynamodb")


def handler(event, context):
    return None
"""
HANDLER: Final = "functions.backup.handler"
ENVIRONMENT: Final = {
    "HOLDSTILL_TABLE": "holdstill",
    "HOLDSTILL_SNAPSHOT_TIMEOUT_S": "8",
    "POWERTOOLS_SERVICE_NAME": "backup",
    "POWERTOOLS_METRICS_NAMESPACE": "Holdstill",
    "POWERTOOLS_LOG_LEVEL": "INFO",
}
"""What the stacks set."""

EVENT: Final = {
    "v": 1,
    "target": "recipes-db",
    "scheduled_at": "2026-11-25T18:00:00Z",
    "instance": "i-0123456789abcdef0",
    "commands_url": "https://sqs.ap-northeast-1.amazonaws.com/000000000000/commands",
    "replies_url": "https://sqs.ap-northeast-1.amazonaws.com/000000000000/replies",
    "attempts": 1,
    "patience_s": 60,
}
"""What a schedule sends."""

_TITLES: Final = {
    "clients": "the same clients alone",
    "deployed": "the asset as deployed",
    "compiled": "the asset with bytecode",
}
Summary = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Side:
    name: str
    task: Path
    handler: str

    def start(self, site: Path, log: Path) -> ColdStart:
        return cold_start(
            self.task, self.handler, EVENT, site=site, log=log, environment=ENVIRONMENT
        )


def measure(root: Path, output: Path, *, runs: int) -> int:
    """Start each side `runs` times, in turns; print the medians, write cold_start.json."""
    work = output / "cold_start"
    site = runtime_site(work)
    with _sides(root, work) as (sides, zipped):
        starts: dict[str, list[ColdStart]] = {side.name: [] for side in sides}
        for turn in range(runs + 1):
            for side in sides:
                start = side.start(site, work / f"{side.name}.log")
                if turn:  # the first only fills the page cache
                    starts[side.name].append(start)
    summary = summarize(starts, zipped)
    (output / "cold_start.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(table(summary))
    print(f"Ratios in the lab, not measurements on AWS. See {output / 'cold_start.json'}.")
    return 0


@contextmanager
def _sides(root: Path, work: Path) -> Iterator[tuple[Sequence[_Side], Mapping[str, int]]]:
    """Yield what to compare, and the zipped sizes in bytes."""
    deployed = build_asset(root).folder
    with tempfile.TemporaryDirectory(dir=work) as folder:
        clients, compiled = Path(folder, "clients"), Path(folder, "compiled")
        clients.mkdir()
        (clients / "index.py").write_text(_CLIENTS)
        compile_in_place(clients)
        shutil.copytree(deployed, compiled)
        compile_in_place(compiled)
        zipped = {
            name: Path(shutil.make_archive(str(Path(folder, name)), "zip", task)).stat().st_size
            for name, task in (("deployed", deployed), ("compiled", compiled))
        }
        yield (
            (
                _Side("clients", clients, "index.handler"),
                _Side("deployed", deployed, HANDLER),
                _Side("compiled", compiled, HANDLER),
            ),
            zipped,
        )


def summarize(starts: Mapping[str, Sequence[ColdStart]], zipped: Mapping[str, int]) -> Summary:
    """Return medians in ms, and the ratios to the clients alone."""
    sides = {
        name: {
            "init_ms": _median([start.asked_ms for start in those]),
            "ready_ms": _median([_ready_ms(name, start) for start in those]),
        }
        for name, those in starts.items()
    }
    alone = sides["clients"]["ready_ms"]
    return {
        "python": platform.python_version(),
        "runs": len(starts["clients"]),
        "zipped_bytes": dict(zipped),
        "sides": sides,
        "ratio": {
            name: round(side["ready_ms"] / alone, 3)
            for name, side in sides.items()
            if name != "clients"
        },
    }


def _ready_ms(name: str, start: ColdStart) -> float:
    if name == "clients" and start.last is Step.ANSWERED:
        return start.last_ms
    if name != "clients" and start.called_ms is not None:
        return start.called_ms
    raise LabError(f"{name} did not start as it should: it {start.last.value}: {start.result}")


def _median(values: Sequence[float | None]) -> float:
    return round(statistics.median(value for value in values if value is not None), 1)


def table(summary: Summary) -> str:
    """Return the figures as a table; "ready" means that the clients exist."""
    lines = [
        f"Cold start, Python {summary['python']}, medians of {summary['runs']} starts",
        f"  {'':<25}{'init ms':>9}{'ready ms':>10}{'x clients':>11}{'zipped kB':>11}",
    ]
    for name, side in summary["sides"].items():
        line = f"  {_TITLES[name]:<25}{side['init_ms']:>9.0f}{side['ready_ms']:>10.0f}"
        if name in summary["ratio"]:
            kilobytes = summary["zipped_bytes"][name] / 1000
            line += f"{summary['ratio'][name]:>11.2f}{kilobytes:>11.0f}"
        lines.append(line)
    return "\n".join(lines)
