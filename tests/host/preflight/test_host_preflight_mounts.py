"""Real mounts: one that is not the server's filesystem, and what of ours must not lie on it."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdstill_agent.config import Config, MountConfig
from holdstill_agent.errors import CheckFailedError
from holdstill_agent.mountinfo import Mounts
from holdstill_agent.volumes import find_volumes
from tests.host.conftest import VOLUME
from tests.host.freezing import filesystem, loop_device
from tests.host.preflight.looking import look, refusal, with_mount

pytestmark = pytest.mark.root

SOURCES = Path(__file__).parents[3] / "agent" / "src"


def test_path_that_is_no_mount_point_is_refused(config: Config, point: Path) -> None:
    """With freezing by the freezer, without by the agent: a folder would be the whole disk."""
    part = point / "part"
    part.mkdir(exist_ok=True)
    for freezes, name in ((True, "freezer"), (False, "mounts")):
        mounts, path = (MountConfig(str(part), (VOLUME,)),), with_mount(config, part)
        detail = look(replace(config, mounts=mounts, freeze=freezes, path=path)).failures()
        assert f"{name}: " in detail
        assert f"{part} is no mount point, it is part of {point}: mount the" in detail


def test_mount_that_hides_the_servers_is_refused(config: Config, point: Path) -> None:
    """Mounted over, the path shows another filesystem than the one the server writes to."""
    subprocess.run(["mount", "-t", "tmpfs", "over", str(point)], check=True)
    try:
        preflight = look(config)
    finally:
        subprocess.run(["umount", str(point)], check=True)
    assert "is mounted twice, over over /dev/loop" in preflight.failures()
    assert preflight.code


def test_freezer_that_reads_other_mounts_is_refused(config: Config, tmp_path: Path) -> None:
    """A mount that was taken out of agent.toml since the agent's start would not be frozen."""
    with filesystem(tmp_path / "other") as other:
        both = (*config.mounts, MountConfig(str(other), ("vol-0fedcba9876543210",)))
        detail = refusal(replace(config, mounts=both), "freezer")
    assert f"{other} (7:" in detail
    assert "restart the agent" in detail


def test_log_of_a_filesystem_is_a_volume_too(tmp_path: Path) -> None:
    """What XFS has on another device is of the same set: a copy without it cannot be mounted."""
    mount = tmp_path / "mount"
    mount.mkdir()
    with loop_device(tmp_path / "image", 320) as device, loop_device(tmp_path / "log", 80) as log:
        subprocess.run(["mkfs.xfs", "-q", "-l", f"logdev={log}", device], check=True)
        subprocess.run(["mount", "-o", f"logdev={log}", device, mount], check=True)
        try:
            told = f"is on 2 disks ({Path(device).name}: tells none, {Path(log).name}: tells none)"
            with pytest.raises(CheckFailedError, match=re.escape(told)):
                find_volumes((MountConfig(str(mount), (VOLUME,)),), Mounts.now())
            both = (VOLUME, "vol-0fedcba9876543210")
            assert find_volumes((MountConfig(str(mount), both),), Mounts.now()) == both
        finally:
            subprocess.run(["umount", mount], check=True)


@pytest.mark.parametrize("key", ["state_dir", "run_dir"])
def test_own_folder_on_the_mount_is_refused(config: Config, point: Path, key: str) -> None:
    """Also by a path that only leads there: the filesystem counts, not the name."""
    folder = point / "holdstill"
    folder.mkdir(exist_ok=True)
    link = config.path.with_name(f"link-{key}")
    link.symlink_to(folder)
    changes: dict[str, Any] = {key: str(link)}
    detail = look(replace(config, **changes)).failures()
    assert f"own files: {'freeze.' if key == 'run_dir' else ''}{key} {link} is on {point}" in detail


@pytest.mark.parametrize("options", ["size=64k", "size=8m,nr_inodes=5"])
def test_no_room_for_the_state_is_refused(config: Config, tmp_path: Path, options: str) -> None:
    """Blocks or inodes: what must be undone after a crash could not be recorded."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(tmp_path)], check=True)
    try:
        detail = refusal(replace(config, state_dir=str(tmp_path)), "state")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert f"state_dir {tmp_path} has" in detail
    assert "delete something there" in detail


def test_log_on_the_mount_is_refused(config: Config, point: Path) -> None:
    """A line of log that waits for the thaw would make the thaw wait."""
    with (point / "agent.log").open("wb") as log:
        checked = subprocess.run(
            [sys.executable, "-m", "holdstill_agent", "--config", str(config.path), "--check"],
            env={"PYTHONPATH": str(SOURCES), "AWS_REGION": "eu-west-1"},
            stderr=log,
            stdout=subprocess.PIPE,
            check=False,
            text=True,
            timeout=30,
        )
    assert checked.returncode == 1
    told = f"FAILED  own files: the agent's log {point}/agent.log is on {point}"
    assert told in checked.stdout


def test_swap_on_the_mount_is_refused(config: Config, point: Path) -> None:
    """Memory that is to be read back from a frozen filesystem may be the thawing process's own."""
    swap = point / "swap"
    with swap.open("wb") as file:
        file.write(bytes(1 << 20))
    swap.chmod(0o600)
    subprocess.run(["mkswap", "--quiet", swap], check=True)
    subprocess.run(["swapon", swap], check=True)
    try:
        detail = refusal(config, "freezer")
    finally:
        subprocess.run(["swapoff", swap], check=True)
    assert f"the swap file {swap}: swapoff it, or move it" in detail
