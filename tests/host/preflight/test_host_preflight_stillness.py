"""Whether somebody froze it already is found out before the lock, and nothing is left frozen."""

import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config, MountConfig
from holdstill_agent.hold import Hold
from holdstill_protocol.host_model import PreflightPassed
from holdstill_protocol.messages import Lock, RefusalCode
from lab.host.disk import freeze
from tests.host.conftest import VOLUME
from tests.host.freezing import RUN, is_frozen, watchdog
from tests.host.preflight.looking import look, wait, with_mount

pytestmark = pytest.mark.root


def test_sound_host_passes_every_check(config: Config, point: Path) -> None:
    """Each check is told with what it found; without a run nothing is frozen, not for a moment."""
    with watchdog(point):
        preflight = look(config)
    found = {one.name: one.detail for one in preflight.checks}
    assert preflight.code is None, preflight.failures()
    assert set(found) >= {
        *("mounts", "volumes", "state", "own files", "freezer", "database", "privileges"),
        *("session", "database's files", "general log", "quiet", "not frozen"),
    }
    assert preflight.volumes == (VOLUME,)
    assert "a freeze was tried" not in found["not frozen"]


def test_quiet_filesystem_is_rehearsed_and_left_thawed(config: Config, point: Path) -> None:
    """Where nobody writes only a freeze tells; the freezer that is left is ready for the run."""
    with watchdog(point):
        for _ in range(20):  # a server that has just started writes for a while, and so does XFS
            hold = Hold(config)
            passed = hold.preflight(RUN, monotonic_ms() + 20_000, wait)
            assert isinstance(passed, PreflightPassed), passed
            assert not is_frozen(point)
            checks = {one.name: one.detail for one in passed.checks}
            hold.disconnect()
            hold.tidy()
            if "a freeze was tried" in checks["not frozen"]:
                break
    assert "a freeze was tried" in checks["not frozen"]
    assert (Path(config.run_dir) / "freeze").read_bytes() == b"", "no marker is left"


def test_written_filesystem_is_not_rehearsed(config: Config, point: Path) -> None:
    """A write that comes through proves that nothing is frozen: no writer is held for that."""
    done = threading.Event()

    def write() -> None:
        with (point / "written").open("wb", buffering=0) as file:
            while not done.wait(0.005):
                file.write(b"x")
                subprocess.run(["sync", "-d", point / "written"], check=True)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with watchdog(point):
            preflight = look(config, RUN)
    finally:
        done.set()
        writer.join(5)
    found = {one.name: one.detail for one in preflight.checks}
    assert found["not frozen"] == "something was written just now"


def test_strangers_freeze_is_refused_and_left_alone(config: Config, point: Path) -> None:
    """Found before the lock, which would wait for it; and it is not ours to thaw."""
    with watchdog(point):
        freeze(point)
        began = time.monotonic()
        preflight = look(config, RUN)
        took_s = time.monotonic() - began
        assert is_frozen(point)
    assert preflight.code is RefusalCode.ALREADY_FROZEN, preflight.checks
    assert f"not frozen: {point} was frozen by somebody else" in preflight.failures()
    assert "database" not in {one.name for one in preflight.checks}, "it could hang"
    assert took_s < 5


@pytest.mark.parametrize("kind", ["ext4", "btrfs"])
def test_strangers_freeze_is_found_on_other_filesystems(
    config: Config, tmp_path: Path, kind: str
) -> None:
    """Their syncfs writes nothing either while they are frozen."""
    image, mount = tmp_path / "image", tmp_path / "mount"
    mount.mkdir()
    with image.open("xb") as file:
        file.truncate(192 << 20)
    subprocess.run([f"mkfs.{kind}", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mount], check=True)
    try:
        path = with_mount(config, mount)
        alone = replace(
            config, lock=Lock.NONE, mounts=(MountConfig(str(mount), (VOLUME,)),), path=path
        )
        with watchdog(mount):
            assert look(alone, RUN).code is None
            (mount / "dirty").write_bytes(bytes(1 << 20))
            freeze(mount)
            assert look(alone, RUN).code is RefusalCode.ALREADY_FROZEN
    finally:
        subprocess.run(["umount", mount], check=True)
