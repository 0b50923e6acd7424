"""Which mount a path is on, as the kernel would find it."""

import os
from pathlib import Path

import pytest

from holdstill_agent.errors import CheckFailedError
from holdstill_agent.mountinfo import Mounts

ROOT = "1 0 8:1 / / rw - ext4 /dev/sda1 rw"
DATA = "2 1 259:3 / /data/mysql rw - xfs /dev/nvme1n1 rw,logdev=/dev/a\\054b\\075c,noquota"
OVER = "3 1 259:8 / /data rw - xfs /dev/nvme2n1 rw"
AUTOMOUNT = "2 1 0:50 / /data/mysql rw - autofs systemd-1 rw,fd=51"
MOUNTED = "3 2 259:3 / /data/mysql rw - xfs /dev/nvme1n1 rw"


def _mounts(*lines: str) -> Mounts:
    return Mounts("\n".join(lines))


def _described(path: str) -> int:
    """Return the mount's number as the kernel says it of an open descriptor."""
    descriptor = os.open(path, os.O_PATH)
    try:
        lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    finally:
        os.close(descriptor)
    return next(int(line.split()[1]) for line in lines if line.startswith("mnt_id:"))


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="Linux's mounts")
@pytest.mark.parametrize("path", ["/", "/proc", "/proc/self", "/sys", "/dev", "/tmp", __file__])  # noqa: S108
def test_holding_mount_is_the_kernels(path: str) -> None:
    """On this very host the table gives what an open descriptor is on."""
    assert Mounts.now().holding(path).number == _described(path)


def test_mount_hidden_from_above_is_not_met() -> None:
    """A mount over a folder above hides what was below: another filesystem's volume counts."""
    mounts = _mounts(ROOT, DATA, OVER)
    assert mounts.holding("/data/mysql/ibdata1").device == "259:8"
    assert mounts.at("/data/mysql") == ()
    assert [one.device for one in mounts.hidden_at("/data/mysql")] == ["259:3"]
    assert mounts.hidden_at("/data") == ()


def test_mount_made_after_the_one_above_is_met() -> None:
    """The order of the lines says nothing: it is what each was mounted on."""
    mounts = _mounts("9 3 259:3 / /data/mysql rw - xfs /dev/nvme1n1 rw", OVER, ROOT)
    assert mounts.holding("/data/mysql/ibdata1").device == "259:3"
    assert [one.device for one in mounts.at("/data/mysql")] == ["259:3"]
    assert mounts.hidden_at("/data/mysql") == ()


def test_mount_over_the_root_is_not_met() -> None:
    """Who has a root directory does not see what is mounted over it."""
    mounts = _mounts(ROOT, "2 1 0:9 / / rw - tmpfs none rw", "3 1 8:2 / /home rw - ext4 /dev/b rw")
    assert mounts.holding("/").device == "8:1"
    assert mounts.holding("/etc").device == "8:1"
    assert mounts.holding("/home/x").device == "8:2"


def test_root_may_be_its_own_parent() -> None:
    """So the kernel shows its first filesystem where nothing was mounted over it."""
    mounts = _mounts("1 1 0:2 / / rw - rootfs rootfs rw", "2 1 8:1 / /data rw - xfs /dev/a rw")
    assert mounts.holding("/etc").device == "0:2"
    assert mounts.holding("/data/x").device == "8:1"


def test_automount_point_is_not_the_mount() -> None:
    """Its own row lies below what it mounts; the two are no filesystem mounted twice."""
    mounts = _mounts(ROOT, AUTOMOUNT, MOUNTED)
    assert [one.kind for one in mounts.at("/data/mysql")] == ["xfs"]
    assert not mounts.awaits_automount("/data/mysql")
    assert mounts.holding("/data/mysql/ibdata1").device == "259:3"
    waiting = _mounts(ROOT, AUTOMOUNT)
    assert waiting.at("/data/mysql") == ()
    assert waiting.awaits_automount("/data/mysql")
    assert not waiting.awaits_automount("/data")


def test_chroot_without_a_mount_is_said() -> None:
    """Where no line tells of the root directory only what is mounted below is known."""
    mounts = _mounts("7 5 259:3 / /data rw - xfs /dev/nvme1n1 rw")
    assert mounts.holding("/data/x").device == "259:3"
    for known in (mounts, Mounts("")):
        with pytest.raises(CheckFailedError, match=r"/etc is on a mount that .* chroot"):
            known.holding("/etc")


def test_options_are_the_superblocks() -> None:
    """A comma or an equals sign in a device's name does not end it."""
    (mount,) = _mounts(ROOT, DATA).at("/data/mysql")
    assert mount.options == ("rw", "logdev=/dev/a,b=c", "noquota")
