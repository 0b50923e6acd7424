"""The freezer on a real XFS filesystem: whatever happens to whom, it does not stay frozen."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.host.freezer.conftest import BUDGET_S
from tests.host.freezing import RUN, Line, Writer, is_frozen

pytestmark = pytest.mark.root


def test_deadline_thaws_without_a_command(line: Line, point: Path) -> None:
    """At its budget, counted from the freeze's start, it thaws, says so, and says it again."""
    began = time.monotonic()
    line.ask(f"freeze {RUN}")
    writer = Writer(point)
    assert 0 <= writer.done_at(5) - began - BUDGET_S < 0.1
    unasked = line.read()
    assert unasked.startswith("thawed deadline 1 ")
    assert line.ask("thaw") == unasked


def test_client_killed_thaws_at_once(config: Path, point: Path) -> None:
    """SIGKILL of the one who asked thaws in milliseconds, by the end of its line."""
    script = (
        "import sys, time; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from tests.host.freezing import Line\n"
        "line = Line(Path(sys.argv[1])); print(line.ask('freeze run-1'), flush=True)\n"
        "time.sleep(60)"
    )
    repository = Path(__file__).parents[3]
    client = subprocess.Popen(
        [sys.executable, "-c", script, str(config), str(repository)], stdout=subprocess.PIPE
    )
    assert client.stdout
    assert client.stdout.readline().startswith(b"frozen ")
    writer = Writer(point)
    killed_at = time.monotonic()
    client.kill()
    assert writer.done_at(5) - killed_at < BUDGET_S / 4
    client.wait()


def test_freezer_killed_thaws_at_once(
    connect: Callable[[Path], Line], line: Line, point: Path, config: Path
) -> None:
    """SIGKILL of the freezer itself: its guard thaws, says so, and ends the line."""
    line.ask(f"freeze {RUN}")
    writer = Writer(point)
    killed_at = time.monotonic()
    line.process.kill()
    assert writer.done_at(5) - killed_at < BUDGET_S / 4
    assert line.read().startswith("thawed lost 0 ")
    assert line.read() == ""
    line.close()
    assert connect(config).ask("sync").startswith("synced "), "nothing is left that blocks the next"


def test_freezer_stopped_thaws_at_its_deadline(line: Line, point: Path) -> None:
    """A freezer that hangs is thawed by its guard, and then does not claim to have held."""
    began = time.monotonic()
    line.ask(f"freeze {RUN}")
    writer = Writer(point)
    line.process.send_signal(signal.SIGSTOP)
    try:
        assert 0 <= writer.done_at(5) - began - BUDGET_S < 0.4
    finally:
        line.process.send_signal(signal.SIGCONT)
    assert line.read().startswith("thawed deadline 0 ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGABRT])
def test_signal_thaws(line: Line, point: Path, number: int) -> None:
    """Told to end, it thaws first, and says why; so systemd can stop a whole group at once."""
    line.ask(f"freeze {RUN}")
    os.kill(line.guard(), number)
    line.process.send_signal(number)
    assert line.read().startswith("thawed shutdown 1 ")
    assert not is_frozen(point)
    assert line.process.wait(5) == 0


def test_noise_ends_the_line(line: Line, point: Path) -> None:
    """A client that does not speak the protocol is dropped, and what it held is thawed."""
    line.ask(f"freeze {RUN}")
    line._socket.sendall(b"x" * 3000)
    assert line.read().startswith("thawed disconnected 1 ")
    assert not is_frozen(point)
