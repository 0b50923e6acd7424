"""An agent with changes to its configuration, its runs, and hooks that note what is held."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from holdstill_agent.unfinished import Unfinished
from holdstill_protocol.messages import Prepare, Prepared, Refused
from lab.host import DatabaseHost
from tests.host.agent_process import SOURCES, TARGET, Agent

Start = Callable[..., AbstractContextManager[Agent]]

# Notes which hook it is, whether the filesystem is frozen (a write that comes through in time says
# no) and whether the database is locked.
HOOK = """
import os, subprocess, sys
name, point, socket, noted = sys.argv[1:5]
wrote = subprocess.run(["timeout", "1", "touch", point + "/hook"]).returncode == 0
sql = "SET lock_wait_timeout = 1; CREATE OR REPLACE TABLE test_held.hooked (id INT)"
wrote_row = subprocess.run(["mariadb", "--no-defaults", "-uroot", "-S", socket, "-e", sql])
with open(noted, "a") as file:
    print(name, wrote, wrote_row.returncode == 0, os.environ["HOLDSTILL_RUN_ID"], file=file)
"""


def start_agent(config: Path, environ: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the agent."""
    return subprocess.Popen(
        [sys.executable, "-m", "holdstill_agent", "--config", str(config)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES), **environ},
    )


class Noted:
    """What hooks have noted, and the hooks that note it."""

    def __init__(self, host: DatabaseHost, folder: Path) -> None:
        self._file = folder / "noted"
        self._script = folder / "hook.py"
        self._script.write_text(HOOK)
        self._where = (str(host.places.mounts[0]), str(host.server.socket), str(self._file))

    def hook(self, name: str) -> tuple[str, ...]:
        """Return a command that notes what it finds."""
        return (sys.executable, str(self._script), name, *self._where)

    def shell(self, script: str) -> tuple[str, ...]:
        """Return a command by a shell; $0 is the file."""
        return ("/bin/sh", "-c", script, str(self._file))

    def lines(self) -> list[str]:
        """Return what was noted."""
        return self._file.read_text().splitlines() if self._file.exists() else []

    def until(self, count: int, within_s: float = 20) -> list[str]:
        """Wait for so many notes, and return them."""
        give_up_at = time.monotonic() + within_s
        while len(self.lines()) < count and time.monotonic() < give_up_at:
            time.sleep(0.02)
        return self.lines()


def prepared_run(agent: Agent) -> Prepared:
    """Prepare a new run; return what the agent says of it."""
    agent.run = f"{TARGET}.{time.monotonic_ns()}.1"
    agent.command(Prepare)
    reply = agent.reply(20)
    assert isinstance(reply, Prepared), reply
    return reply


def refused_run(agent: Agent) -> Refused:
    """Prepare a new run that the agent refuses; return its reason."""
    agent.run = f"{TARGET}.{time.monotonic_ns()}.1"
    agent.command(Prepare)
    reply = agent.reply(20)
    assert isinstance(reply, Refused), reply
    return reply


def settled(agent: Agent) -> bool:
    """Wait until nothing is owed any more."""
    unfinished = Unfinished(str(agent.host.places.state_dir))
    give_up_at = time.monotonic() + 10
    while unfinished.pending() and time.monotonic() < give_up_at:
        time.sleep(0.02)
    return not unfinished.pending()
