"""`python -m lab demo`, as a person runs it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lab import kernel

pytestmark = [pytest.mark.emulator, pytest.mark.slow]


README = Path(__file__).parents[2] / "README.md"


def start(workdir: Path, *options: str) -> "subprocess.Popen[str]":
    """Start the demo in its own process group, as a terminal would."""
    return subprocess.Popen(
        [sys.executable, "-m", "lab", "demo", "--workdir", str(workdir), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def assert_nothing_left(workdir: Path) -> None:
    """No mount, no loop device, and no process that knows the lab's folder."""
    assert kernel.mounts_of(workdir) == []
    assert kernel.loops_of(workdir) == []
    deadline = time.monotonic() + 5
    while left := _processes_of(workdir):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def _processes_of(workdir: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        if str(workdir) in command and process.pid != os.getpid():
            found.append(command)
    return found


def shape(line: str) -> str:
    """Return a line of output without what differs from run to run."""
    line = re.sub(r"\b(snap|vol)-[0-9a-f]+", r"\1-#", line)
    return " ".join(re.sub(r"[+-]?\d+(\.\d+)?", "#", line).split())


@pytest.mark.root
@pytest.mark.timeout(360)
def test_it_shows_what_the_readme_shows(workdir: Path) -> None:
    """The README's output is real: every line of it comes again, but for its figures."""
    with start(workdir) as demo:
        output = demo.communicate(timeout=320)[0]
    assert demo.returncode == 0, output
    assert "THE COPY HOLDS" in output
    assert "EVERY VISITOR SEES THE NEW FILES" in output
    shown = README.read_text().partition("<!-- demo -->\n```\n")[2].partition("```")[0]
    assert shown
    said = {shape(line) for line in output.splitlines()}
    assert [line for line in shown.splitlines() if shape(line) not in said] == []
    assert_nothing_left(workdir)


@pytest.mark.root
@pytest.mark.timeout(360)
@pytest.mark.parametrize("at", ["deploying", "starting the database host", "uploading logo"])
def test_interrupted_it_leaves_nothing(workdir: Path, at: str) -> None:
    """Ctrl-C at any step."""
    with start(workdir) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if at in line:
                time.sleep(0.7)
                os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(timeout=60) == 130
    assert_nothing_left(workdir)


@pytest.mark.timeout(360)
def test_without_disks_it_says_what_is_not_real(workdir: Path) -> None:
    """The fallback host runs the same Lambda, queues and agent."""
    with start(workdir, "--no-disks") as demo:
        output = demo.communicate(timeout=320)[0]
    assert demo.returncode == 0, output
    assert "NOT REAL" in output
    assert "filesystem-consistent" in output
    assert "THE COPY HOLDS" in output
    assert "EVERY VISITOR SEES THE NEW FILES" in output
    assert_nothing_left(workdir)
