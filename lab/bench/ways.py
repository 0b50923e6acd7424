"""The five ways to make a snapshot that are compared. Each returns the ids of what it made."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.host.child import dying_with_parent, hurried
from lab.stage import Stage

_SCRIPT = Path(__file__).with_name("script.sh")
_ROOT = Path(__file__).parents[2]

Way = Callable[[], list[str]]


@dataclass
class Ways:
    """The ways, on one stage. `records` collects the records of Holdstill's runs."""

    stage: Stage
    local: "subprocess.Popen[str]"
    records: list[dict[str, Any]] = field(default_factory=list)
    _next_run: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    @property
    def named(self) -> dict[str, Way]:
        """The ways by their names, from none to ours."""
        return {
            "control": self.control,
            "script": self.script,
            "local": lambda: self._ask("plain"),
            "limit": lambda: self._ask("expedited"),
            "holdstill": self.holdstill,
        }

    def control(self) -> list[str]:
        """Make no backup at all."""
        return []

    def script(self) -> list[str]:
        """Run the script's shape of 2010."""
        host = self.stage.host
        done = subprocess.run(
            [
                *dying_with_parent([str(_SCRIPT)]),
                str(host.places.run_dir / "agent-mysql.cnf"),
                str(host.places.mounts[0]),
                self._volume,
            ],
            env=_environment(self.stage),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return [done.stdout.split()[-1]]

    def holdstill(self) -> list[str]:
        """Run the deployed Lambda, which commands the agent over SQS."""
        self._next_run += timedelta(hours=1)
        record = self.stage.invoke(self._next_run)
        if record.get("verdict") != "consistent":
            raise LabError(f"a run of the benchmark was not consistent: {record}")
        self.records.append(dict(record))
        return self.stage.snapshot_ids(record)

    def _ask(self, how: str) -> list[str]:
        assert self.local.stdin is not None  # noqa: S101 - a pipe, as start_local made it
        assert self.local.stdout is not None  # noqa: S101
        self.local.stdin.write(f"{how} {self._volume}\n")
        self.local.stdin.flush()
        answer = self.local.stdout.readline().strip()
        if not answer.startswith("snap-"):
            raise LabError(f"the local program answered {answer!r}")
        return [answer]

    @property
    def _volume(self) -> str:
        return self.stage.instance.volumes[0].id


@contextlib.contextmanager
def ready(stage: Stage) -> Iterator[Ways]:
    """Start what the ways need, and end it."""
    host = stage.host
    argv = [
        sys.executable,
        "-m",
        "lab.bench.local",
        str(host.places.run_dir / "agent-mysql.cnf"),
        str(host.places.mounts[0]),
    ]
    local = subprocess.Popen(
        dying_with_parent(hurried(argv)),  # as the agent is
        env=_environment(stage),
        cwd=_ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        if not local.stdout or local.stdout.readline() != "ready\n":
            raise LabError("the local program did not start")
        yield Ways(stage, local)
    finally:
        host.thaw()
        local.kill()
        local.wait()


def _environment(stage: Stage) -> dict[str, str]:
    binaries = (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin")
    return {**stage.region.environment, "PATH": os.pathsep.join(binaries)}
