"""What a freezer does not serve: a second one, and mounts whose freeze would stop the host."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from holdstill_agent.mountinfo import Mounts
from tests.host.freezing import Line, is_frozen, loop_device

pytestmark = pytest.mark.root


def test_one_freezer_at_a_time(connect: Callable[[Path], Line], line: Line, config: Path) -> None:
    """A second freezer with the same run_dir is refused while the first lives."""
    assert line.greeting.startswith("ready 1000 ")
    assert connect(config).greeting.startswith("refused busy ")


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
