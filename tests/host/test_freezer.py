"""The freezer on a real XFS filesystem: whatever happens to whom, it does not stay frozen."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdstill_agent.mountinfo import Mounts
from lab.host import disk
from tests.host.freezing import (
    FREEZER,
    RUN,
    Line,
    Writer,
    is_frozen,
    loop_device,
)

pytestmark = pytest.mark.root

BUDGET_S = 1.0
RCU_EXPEDITED = Path("/sys/kernel/rcu_expedited")


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Path]:
    """Write an agent.toml for the freezer."""

    def write(*paths: Path, run_dir: Path | None = None, budget_s: float = BUDGET_S) -> Path:
        mounts = "".join(f'[[mounts]]\npath = "{path}"\n' for path in paths)
        table = f'[freeze]\nbudget_s = {budget_s}\nrun_dir = "{run_dir or tmp_path / "run"}"\n'
        path = tmp_path / "agent.toml"
        path.write_text(mounts + table)
        path.chmod(0o644)
        return path

    return write


@pytest.fixture
def config(point: Path, configure: Callable[..., Path]) -> Path:
    """Return the configuration for one mount."""
    return configure(point)


@pytest.fixture
def connect(point: Path) -> Iterator[Callable[[Path], Line]]:
    """Start freezers; each is gone at the end, and nothing is frozen."""
    assert not is_frozen(point)
    lines: list[Line] = []

    def start(config: Path) -> Line:
        lines.append(Line(config))
        return lines[-1]

    yield start
    for line in lines:
        line.close()


@pytest.fixture
def line(config: Path, connect: Callable[[Path], Line]) -> Line:
    """Return the line to a freezer that is ready."""
    return connect(config)


def test_freeze_holds_until_thaw(line: Line, point: Path) -> None:
    """The filesystem is frozen from `frozen` to `thawed`, and nothing else is said."""
    assert line.greeting == f"ready 1000 {_device(point)}"
    assert line.ask("sync").startswith("synced ")
    assert line.ask(f"freeze {RUN}").startswith("frozen ")
    assert is_frozen(point)
    assert line.ask("thaw").startswith("thawed commanded 1 ")
    assert not is_frozen(point)


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
    repository = Path(__file__).parents[2]
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


def test_foreign_freeze_is_left_alone(line: Line, point: Path) -> None:
    """What somebody else froze is refused, and not thawed, neither now nor at the line's end."""
    disk.freeze(point)
    assert line.ask(f"freeze {RUN}").startswith("failed already-frozen ")
    line.close()
    assert is_frozen(point)


def test_foreign_thaw_is_noticed(line: Line, point: Path) -> None:
    """Thawed behind its back, the hold was not intact."""
    line.ask(f"freeze {RUN}")
    assert disk.thaw(point)
    assert line.ask("thaw").startswith("thawed commanded 0 ")


def test_second_mount_refused_thaws_the_first(
    connect: Callable[[Path], Line],
    points: tuple[Path, Path],
    point: Path,
    configure: Callable[..., Path],
) -> None:
    """Of several mounts all are held or none."""
    line = connect(configure(*points))
    disk.freeze(points[1])
    assert line.ask(f"freeze {RUN}").startswith("failed already-frozen ")
    assert not is_frozen(point)
    assert is_frozen(points[1])
    line.close()


def test_all_mounts_are_held(
    connect: Callable[[Path], Line],
    points: tuple[Path, Path],
    point: Path,
    configure: Callable[..., Path],
) -> None:
    """Several mounts are frozen together, and all thawed when the line ends."""
    assert point == points[0]
    line = connect(configure(*points))
    line.ask(f"freeze {RUN}")
    assert all(is_frozen(each) for each in points)
    line.close()
    assert not any(is_frozen(each) for each in points)


def test_one_freeze_a_line(line: Line, point: Path) -> None:
    """A second freeze, or anything that is not understood, is refused and changes nothing."""
    assert line.ask("thaw").startswith("failed bad-request")
    assert line.ask("freeze ../../etc").startswith("failed bad-request")
    line.ask(f"freeze {RUN}")
    assert line.ask(f"freeze {RUN}").startswith("failed bad-request")
    assert is_frozen(point)
    line.ask("thaw")
    assert line.ask(f"freeze {RUN}").startswith("failed bad-request")
    assert not is_frozen(point)


def test_noise_ends_the_line(line: Line, point: Path) -> None:
    """A client that does not speak the protocol is dropped, and what it held is thawed."""
    line.ask(f"freeze {RUN}")
    line._socket.sendall(b"x" * 3000)
    assert line.read().startswith("thawed disconnected 1 ")
    assert not is_frozen(point)


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


def test_odd_mount_points_disturb_nobody(
    connect: Callable[[Path], Line], config: Path, tmp_path: Path
) -> None:
    """A mount of somebody else may have any bytes for a name."""
    odd = os.fsencode(tmp_path) + b"/\xff\x0b"
    os.mkdir(odd)  # noqa: PTH102 - bytes are no Path
    subprocess.run(["mount", "-t", "tmpfs", "none", odd], check=True)
    try:
        assert connect(config).greeting.startswith("ready 1000 ")
        assert Mounts.now().holding(str(config)).point != os.fsdecode(odd)
    finally:
        subprocess.run(["umount", odd], check=True)


def test_one_freezer_at_a_time(connect: Callable[[Path], Line], line: Line, config: Path) -> None:
    """A second freezer with the same run_dir is refused while the first lives."""
    assert line.greeting.startswith("ready 1000 ")
    assert connect(config).greeting.startswith("refused busy ")


@pytest.mark.parametrize("path", ["/proc", "part of it", "a bind mount", "missing"])
def test_unfit_mounts_are_refused(
    connect: Callable[[Path], Line],
    point: Path,
    configure: Callable[..., Path],
    tmp_path: Path,
    path: str,
) -> None:
    """Nothing is served whose freeze would stop more than the database, or nothing at all."""
    part, bound = point / "part", tmp_path / "bound"
    part.mkdir(exist_ok=True)
    bound.mkdir()
    subprocess.run(["mount", "--bind", part, bound], check=True)
    try:
        named = {"part of it": part, "a bind mount": bound, "missing": tmp_path / "missing"}
        line = connect(configure(named.get(path, Path(path))))
        assert line.greeting.startswith("refused recovered unfit-mount "), line.greeting
        assert line.process.wait(5) == 1
    finally:
        subprocess.run(["umount", bound], check=True)


def test_root_filesystem_is_refused(
    connect: Callable[[Path], Line],
    points: tuple[Path, Path],
    point: Path,
    configure: Callable[..., Path],
) -> None:
    """A frozen root stops the host, whatever else lies elsewhere."""
    assert not is_frozen(point)
    line = connect(configure(Path("/"), run_dir=points[1] / "run"))
    assert line.greeting.startswith(
        "refused recovered unfit-mount / is on the root filesystem, whose freeze"
    )
    assert "freeze.enabled = false" in line.greeting


def test_own_files_on_the_mount_are_refused(
    connect: Callable[[Path], Line], point: Path, configure: Callable[..., Path]
) -> None:
    """A freezer whose marker were on the frozen filesystem could hang on it."""
    line = connect(configure(point, run_dir=point / "run"))
    assert line.greeting.startswith("refused recovered unfit-mount ")


@pytest.mark.parametrize("unsafe", ["mode", "owner"])
def test_configuration_of_strangers_is_refused(
    connect: Callable[[Path], Line], config: Path, unsafe: str
) -> None:
    """Whoever can write agent.toml can freeze any filesystem: it must be root's alone."""
    if unsafe == "mode":
        config.chmod(0o666)
    else:
        os.chown(config, 65534, 65534)
    assert connect(config).greeting.startswith("refused unsafe-config ")


def test_image_on_another_mount_is_refused(
    connect: Callable[[Path], Line],
    points: tuple[Path, Path],
    point: Path,
    configure: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """Its FIFREEZE would wait for the other's thaw, for ever if that is its own process's."""
    image, inner = point / "image", tmp_path / "inner"
    inner.mkdir()
    with image.open("xb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, inner], check=True)
    try:
        for other, answer in (
            (
                points[0],
                f"refused recovered unfit-mount {inner} lies in {image}, which is on {points[0]}: ",
            ),
            (points[1], "ready "),
        ):
            line = connect(configure(inner, other))
            line.close()
            assert line.greeting.startswith(answer), line.greeting
    finally:
        subprocess.run(["umount", inner], check=True)
        image.unlink()


def test_journal_elsewhere_is_refused(
    connect: Callable[[Path], Line], configure: Callable[..., Path], point: Path, tmp_path: Path
) -> None:
    """A snapshot of an ext4 without the device of its journal is no copy of it."""
    mount = tmp_path / "ext4"
    mount.mkdir()
    with (
        loop_device(tmp_path / "journal", 64) as journal,
        loop_device(tmp_path / "image", 64) as device,
    ):
        subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "journal_dev", journal], check=True)
        for options, answer in (
            (
                ["-J", f"device={journal}"],
                f"refused recovered unfit-mount {mount} has its journal on",
            ),
            ([], "ready "),
            (["-O", "^has_journal"], "ready "),
        ):
            made = ["mkfs.ext4", "-q", "-F", "-b", "1024", *options, device]
            subprocess.run(made, check=True, stderr=subprocess.DEVNULL)
            subprocess.run(["mount", device, mount], check=True)
            try:
                line = connect(configure(mount))
                line.close()
            finally:
                subprocess.run(["umount", mount], check=True)
            assert line.greeting.startswith(answer), (options, line.greeting)
    assert not is_frozen(point)


def _device(point: Path) -> str:
    number = point.stat().st_dev
    return f"{os.major(number)}:{os.minor(number)}"


def _recover(config: Path) -> int:
    argv = [sys.executable, "-I", "-S", str(FREEZER), "--config", str(config), "--recover"]
    return subprocess.run(argv, check=False, timeout=10).returncode
