"""The end of a freezer's line: whoever waits for it learns when nothing is frozen any more."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdstill_agent import hold as hold_module
from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config, HookConfig, load
from holdstill_agent.freezer import Freezer
from holdstill_agent.hold import Hold
from holdstill_agent.mountinfo import Mounts
from holdstill_agent.preflight import Preflight
from holdstill_agent.unfinished import Undo, Unfinished
from holdstill_freezer.guard import GRACE_MS
from holdstill_protocol.host_model import QuiesceHeld
from holdstill_protocol.messages import Lock
from lab.host import disk
from tests.host.freezing import FREEZER, RUN, Line, is_frozen

pytestmark = pytest.mark.root

BUDGET_MS = 400
EXAMPLE = Path(__file__).parents[2] / "agent" / "agent.example.toml"


@pytest.fixture
def toml(points: tuple[Path, Path], point: Path, tmp_path: Path) -> Path:
    """Write an agent.toml for a freezer of both."""
    assert not is_frozen(point)
    path = tmp_path / "agent.toml"
    mounts = "".join(f'[[mounts]]\npath = "{each}"\n' for each in points)
    table = f'[freeze]\nbudget_s = {BUDGET_MS / 1000}\nrun_dir = "{tmp_path / "run"}"\n'
    path.write_text(mounts + table)
    path.chmod(0o644)
    return path


@pytest.fixture
def connect(toml: Path) -> Iterator[Callable[[], Line]]:
    """Start freezers; each is gone at the end."""
    lines: list[Line] = []

    def start() -> Line:
        lines.append(Line(toml))
        return lines[-1]

    yield start
    for line in lines:
        line.process.send_signal(signal.SIGCONT)
        line.close()


class Activation:
    """systemd's part: it accepts, and starts a freezer that is no child of the agent."""

    def __init__(self, path: Path, toml: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._toml = toml
        self.freezers: list[subprocess.Popen[bytes]] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            argv = [sys.executable, "-I", "-S", str(FREEZER)]
            argv += ["--config", str(self._toml), "--fd", str(line.fileno())]
            self.freezers.append(subprocess.Popen(argv, pass_fds=(line.fileno(),)))
            line.close()

    def send(self, number: int) -> None:
        """Send the last freezer a signal."""
        self.freezers[-1].send_signal(number)

    def kill_both(self) -> None:
        """Kill the last freezer with its guard, so that nobody thaws."""
        guard = self.guard()
        self.send(signal.SIGSTOP)
        os.kill(guard, signal.SIGKILL)
        self.send(signal.SIGKILL)
        self.freezers[-1].wait(5)

    def guard(self) -> int:
        """Return the process id of the last freezer's guard."""
        pid = self.freezers[-1].pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())

    def close(self) -> None:
        """Let every freezer end."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for freezer in self.freezers:
            freezer.send_signal(signal.SIGCONT)
            freezer.wait(5)


@pytest.fixture
def activation(toml: Path, tmp_path: Path) -> Iterator[Activation]:
    """Return a socket at which freezers are started."""
    activation = Activation(tmp_path / "freezer.sock", toml)
    yield activation
    activation.close()


@pytest.fixture
def config(activation: Activation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Return an agent's configuration that freezes alone, and owes a hook at each run's end."""
    assert activation
    monkeypatch.setattr(hold_module, "_THAW_WITHIN_MS", 50)  # the guard is due long after that
    return replace(
        load(EXAMPLE),
        freezer_socket=str(tmp_path / "freezer.sock"),
        budget_ms=BUDGET_MS,
        lock=Lock.NONE,
        state_dir=str(tmp_path),
        after_unlock=HookConfig(("/bin/true",), 5000),
        pause_replication=False,
    )


class FreezerOnly(Preflight):
    """Connects the freezer, and owes the hook; nothing else is checked."""

    def run(self) -> None:
        """Connect."""
        self.freezer = Freezer.start(self._config)
        Unfinished(self._config.state_dir).begin(RUN, Undo.AFTER_UNLOCK)


def _wait(pause_s: float) -> bool:
    time.sleep(pause_s)
    return True


def _held(config: Config) -> Hold:
    hold = Hold(config, FreezerOnly)
    hold.preflight(RUN, monotonic_ms() + 5000, _wait)
    assert isinstance(hold.quiesce(RUN, monotonic_ms() + 60_000), QuiesceHeld)
    return hold


def _frozen(points: tuple[Path, Path]) -> list[Path]:
    return [point for point in points if is_frozen(point)]


@pytest.mark.parametrize("how", ["stopped", "killed", "killed with its guard"])
def test_after_unlock_waits_for_the_thaw(
    config: Config, activation: Activation, points: tuple[Path, Path], how: str
) -> None:
    """The freezer is no child to wait for: its guard says when all is thawed, or another thaws."""
    hold = _held(config)
    match how:
        case "stopped":
            activation.send(signal.SIGSTOP)
        case "killed":
            activation.send(signal.SIGKILL)
        case _:
            activation.kill_both()
            assert len(_frozen(points)) == len(points), "or this test shows nothing"
    assert not hold.release(RUN).intact
    (report,) = hold.undo(_wait)
    assert report.failure is None
    assert _frozen(points) == []


def test_after_unlock_waits_though_nobody_thaws(
    config: Config, activation: Activation, points: tuple[Path, Path]
) -> None:
    """With the guard dead and the freezer stopped it stays due; when that one wakes, it runs."""
    hold = _held(config)
    guard, freezer = activation.guard(), activation.freezers[-1]
    freezer.send_signal(signal.SIGSTOP)
    os.kill(guard, signal.SIGKILL)
    hold.release(RUN)
    assert list(hold.undo(_wait)) == []
    assert len(_frozen(points)) == len(points), "or this test shows nothing"
    assert hold.undo_again_at_ms
    freezer.send_signal(signal.SIGCONT)
    (report,) = hold.undo(_wait, at_once=True)
    assert report.failure is None
    assert _frozen(points) == []


def test_foreign_freeze_outlives_a_hanging_freezer(
    connect: Callable[[], Line], point: Path
) -> None:
    """Thawed by a stranger, then frozen by one: the guard, which was due between, leaves it so."""
    line = connect()
    line.ask(f"freeze {RUN}")
    line.ask(
        "anything"
    )  # its guard has heard that there is no more to freeze, when that is refused
    line.process.send_signal(signal.SIGSTOP)
    assert disk.thaw(point)
    assert line.read().startswith("thawed deadline 0 ")
    assert disk.freeze(point), "all was thawed"
    time.sleep(3 * GRACE_MS / 1000)
    line.process.kill()
    assert line.read().startswith("thawed lost 0 ")
    line.close()
    assert is_frozen(point)


def test_recovery_goes_on_past_a_mount_that_is_gone(
    connect: Callable[[], Line], points: tuple[Path, Path], point: Path, tmp_path: Path
) -> None:
    """Another filesystem at one path keeps none frozen at the others; later it is thawed too."""
    line = connect()
    line.ask(f"freeze {RUN}")
    guard = line.guard()
    line.process.send_signal(signal.SIGSTOP)
    os.kill(guard, signal.SIGKILL)
    line.process.kill()
    line.process.wait()
    assert len(_frozen(points)) == len(points), "or this test shows nothing"
    marker = tmp_path / "run" / "freeze"
    here = Mounts.now().holding(str(points[1])).device
    marker.write_text(marker.read_text().replace(f" {here} ", " 0:0 "))
    refused = connect()
    assert refused.greeting.startswith("refused unfit-mount ")
    refused.close()
    assert _frozen(points) == [points[1]]
    disk.freeze(point)
    marker.write_text(marker.read_text().replace(" 0:0 ", f" {here} "))
    following = connect()
    assert following.greeting.startswith("ready ")
    following.close()
    assert _frozen(points) == [point], "a stranger's freeze that came meanwhile is not ours"
    assert marker.read_text() == ""
