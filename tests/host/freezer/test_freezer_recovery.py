"""What a freezer that died left is undone: its own freeze and setting, and nobody else's."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.host import disk
from tests.host.freezing import FREEZER, RUN, Line, is_frozen

pytestmark = pytest.mark.root

RCU_EXPEDITED = Path("/sys/kernel/rcu_expedited")


def _kill_both(line: Line) -> None:
    guard = line.guard()
    line.process.send_signal(signal.SIGSTOP)  # or it would thaw, its guard gone
    os.kill(guard, signal.SIGKILL)
    line.process.kill()
    line.process.wait()


def test_recovery_thaws_what_a_dead_freezer_left(line: Line, point: Path, config: Path) -> None:
    """With freezer and guard killed at once it stays frozen, and `--recover` thaws it."""
    line.ask(f"freeze {RUN}")
    _kill_both(line)
    assert is_frozen(point), "or this test shows nothing"
    assert _recover(config) == 0
    assert not is_frozen(point)


def test_next_freezer_recovers_first(
    connect: Callable[[Path], Line], line: Line, point: Path, config: Path
) -> None:
    """A freezer that starts after a crash finds and thaws its own."""
    line.ask(f"freeze {RUN}")
    _kill_both(line)
    following = connect(config)
    assert following.greeting.startswith("ready 1000 ")
    assert not is_frozen(point)
    following.close()


def test_recovery_leaves_a_foreign_freeze(point: Path, config: Path) -> None:
    """Without a marker of ours, a frozen filesystem is somebody else's."""
    disk.freeze(point)
    assert _recover(config) == 0
    assert is_frozen(point)


def test_recovery_leaves_a_living_freeze(
    connect: Callable[[Path], Line], point: Path, configure: Callable[..., Path]
) -> None:
    """The marker of a freezer that lives is not touched."""
    config = configure(point, budget_s=5)
    line = connect(config)
    line.ask(f"freeze {RUN}")
    assert _recover(config) == 0, "there is nothing of a dead freezer's"
    assert line.ask("thaw").startswith("thawed commanded 1 ")
    line.close()


def test_recovery_puts_rcu_back(point: Path, config: Path, tmp_path: Path) -> None:
    """A freezer that died within its ioctl leaves RCU expedited; the marker says so."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "freeze").write_text(f"rcu 1\nrun {RUN}\n")
    try:
        RCU_EXPEDITED.write_text("1")
        assert _recover(config) == 0
        assert RCU_EXPEDITED.read_text().strip() == "0"
    finally:
        RCU_EXPEDITED.write_text("0")
    assert not is_frozen(point)


# A freezer that dies with the first of two mounts frozen, and the second as argv says.
_DIES = """
import os, signal, socket, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from holdstill_freezer import kernel
from holdstill_freezer.guard import Shared, fork_guard
from holdstill_freezer.marker import Marker
from holdstill_freezer.mounts import open_mounts
from holdstill_freezer.settings import read_settings

settings = read_settings(Path(sys.argv[2]))
marker = Marker.acquire(settings.run_dir)
mounts = open_mounts(settings.mounts, settings.run_dir)
rcu = kernel.RcuExpedited(wanted=True)
guard = fork_guard(socket.socket(), Shared(mounts, marker, rcu, settings.budget_ms))
marker.write("run-1", mounts, rcu=rcu.usable)
guard.arm()
for index, mount in enumerate(mounts if "refused" in sys.argv else mounts[:1]):
    marker.begin(index)
    guard.begin()
    try:
        kernel.freeze(mount.descriptor)
    except OSError:
        guard.refused()
        marker.refused(index)
if "guard too" in sys.argv:
    os.kill(guard._pid, signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _die(config: Path, *how: str) -> None:
    argv = [sys.executable, "-c", _DIES, str(FREEZER.parent), str(config), *how]
    died = subprocess.run(argv, check=False, timeout=10)
    assert died.returncode == -signal.SIGKILL


@pytest.mark.parametrize("how", [(), ("refused",)])
@pytest.mark.parametrize("who", [(), ("guard too",)])
def test_foreign_freeze_outlives_a_freezer_that_dies(
    points: tuple[Path, Path],
    point: Path,
    configure: Callable[..., Path],
    who: tuple[str, ...],
    how: tuple[str, ...],
) -> None:
    """Dead before or after it was refused the second mount: only its own freeze is thawed."""
    config = configure(*points)
    disk.freeze(points[1])
    _die(config, *who, *how)
    if who:
        assert is_frozen(point), "or this test shows nothing"
        assert _recover(config) == 0
    until = time.monotonic() + 2
    while is_frozen(point) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_frozen(point)
    assert _recover(config) == 0, "it waits until the guard is gone"
    assert is_frozen(points[1])


def test_foreign_rcu_setting_outlives_a_freezer_that_dies(
    point: Path, configure: Callable[..., Path]
) -> None:
    """Expedited already when the freezer came: neither guard nor recovery switches it off."""
    config = configure(point)
    try:
        RCU_EXPEDITED.write_text("1")
        _die(config)
        assert _recover(config) == 0
        assert not is_frozen(point)
        assert RCU_EXPEDITED.read_text().strip() == "1"
    finally:
        RCU_EXPEDITED.write_text("0")


def _recover(config: Path) -> int:
    argv = [sys.executable, "-I", "-S", str(FREEZER), "--config", str(config), "--recover"]
    return subprocess.run(argv, check=False, timeout=10).returncode
