"""From a mount down to its EBS volumes, by a sysfs made for the test."""

from pathlib import Path

import pytest

from holdstill_agent.config import MountConfig
from holdstill_agent.errors import CheckFailedError
from holdstill_agent.mountinfo import Mounts
from holdstill_agent.volumes import find_volumes

MOUNTINFO = r"""
22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 259:3 / /var/lib/mysql rw,relatime shared:2 - xfs /dev/nvme1n1 rw
31 22 253:0 / /srv/with\040space rw,relatime - xfs /dev/mapper/vg-data rw
32 22 0:50 / /btrfs rw - btrfs /dev/nvme1n1 rw
33 22 259:9 / /var/lib/mysql2 rw - xfs /dev/nvme2n1p1 rw
34 30 7:1 / /var/lib/mysql rw - xfs /dev/loop1 rw
""".strip()
NVME1, NVME2 = "vol-0123456789abcdef0", "vol-0fedcba9876543210"


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """Return a sysfs with two NVMe disks, a partition, an LVM volume on both, and a loop."""
    _disk(tmp_path, "nvme1n1", "259:3", NVME1.replace("-", ""))
    _disk(tmp_path, "nvme2n1", "259:8", NVME2.replace("-", ""))
    partition = tmp_path / "devices/nvme2n1/nvme2n1p1"
    partition.mkdir()
    (partition / "partition").write_text("1\n")
    _name(tmp_path, "259:9", partition)
    mapped = tmp_path / "devices/dm-0"
    (mapped / "slaves").mkdir(parents=True)
    (mapped / "slaves/nvme1n1").symlink_to(tmp_path / "devices/nvme1n1")
    (mapped / "slaves/nvme2n1p1").symlink_to(partition)
    _name(tmp_path, "253:0", mapped)
    loop = tmp_path / "devices/loop1"
    loop.mkdir()
    _name(tmp_path, "7:1", loop)
    return tmp_path


def _disk(sysfs: Path, name: str, number: str, serial: str) -> None:
    disk = sysfs / "devices" / name
    (disk / "device").mkdir(parents=True)
    (disk / "device/serial").write_text(serial + "  \n")
    _name(sysfs, number, disk)


def _name(sysfs: Path, number: str, device: Path) -> None:
    (sysfs / "dev/block").mkdir(parents=True, exist_ok=True)
    (sysfs / "dev/block" / number).symlink_to(device)


def _volumes(sysfs: Path, *mounts: MountConfig) -> tuple[str, ...]:
    return find_volumes(mounts, Mounts(MOUNTINFO), sysfs)


def test_partition_is_its_disk(sysfs: Path) -> None:
    """A filesystem on a partition is on its disk's volume."""
    assert _volumes(sysfs, MountConfig("/var/lib/mysql2")) == (NVME2,)


def test_logical_volume_is_all_disks_below(sysfs: Path) -> None:
    """Under LVM or md every physical volume is needed."""
    assert _volumes(sysfs, MountConfig("/srv/with space")) == (NVME1, NVME2)


def test_volume_is_named_once(sysfs: Path) -> None:
    """Two mounts on one volume need one snapshot."""
    both = MountConfig("/srv/with space"), MountConfig("/var/lib/mysql2")
    assert _volumes(sysfs, *both) == (NVME1, NVME2)


def test_topmost_mount_counts(sysfs: Path) -> None:
    """Mounted over, a path names the upper filesystem, here a loop device that tells nothing."""
    assert _volumes(sysfs, MountConfig("/var/lib/mysql", (NVME2,))) == (NVME2,)


@pytest.mark.parametrize("path", ["/var/lib/mysql", "/btrfs"])
def test_unknown_volume_is_an_error(sysfs: Path, path: str) -> None:
    """Without serial or configuration nobody knows what to snapshot, and the error says so."""
    with pytest.raises(CheckFailedError, match="write volumes ="):
        _volumes(sysfs, MountConfig(path))


def test_configuration_cannot_contradict_the_device(sysfs: Path) -> None:
    """A volume that was replaced while agent.toml was not must not be snapshotted in its place."""
    with pytest.raises(CheckFailedError, match=f"is on {NVME2}"):
        _volumes(sysfs, MountConfig("/var/lib/mysql2", (NVME1,)))


def test_path_below_a_mount_belongs_to_it() -> None:
    """A longer name that only begins alike does not."""
    mounts = Mounts(MOUNTINFO)
    assert mounts.holding("/var/lib/mysql2/x").device == "259:9"
    assert mounts.holding("/var/lib/mysql20").device == "259:1"


@pytest.mark.parametrize(
    ("frozen", "path", "held"),
    [
        ("/var/lib/mysql2", "/var/lib/mysql2/ibdata1", True),
        ("/var/lib/mysql2", "/var/lib/holdstill", False),
        ("/", "/var/lib/holdstill", True),  # one filesystem, whatever the folder
        ("/", "/var/lib/mysql2/ibdata1", False),
        ("/home/demo/volume", "/home/demo/volume/a", True),  # no mount point: a stand-in's
        ("/home/demo/volume", "/home/demo/run", False),
    ],
)
def test_freeze_holds_a_whole_filesystem(frozen: str, path: str, held: bool) -> None:
    """What a freeze would hold decides where state and logs must not be."""
    assert Mounts(MOUNTINFO).freeze_holds(frozen, path) is held


@pytest.mark.parametrize(
    ("journals", "refused"),
    [
        (("nvme1n1-8",), False),  # its own
        (("nvme1n1-8", "nvme2n1"), False),  # its own, and somebody else's is elsewhere
        (("nvme2n1",), True),
        (("nvme1n1p1-8", "nvme2n1"), True),  # a name that only begins alike
        (("nvme0n1-8",), False),  # it has none
        ((), False),  # ProcSubset=pid
    ],
)
def test_journal_elsewhere_is_refused_where_it_is_seen(
    sysfs: Path, tmp_path: Path, journals: tuple[str, ...], refused: bool
) -> None:
    """Nobody says where an ext4's other journal is: its volume would be missing."""
    for name in ("nvme1n1", "nvme2n1"):
        (tmp_path / "class/block" / name).mkdir(parents=True)
    for name in journals:
        (tmp_path / "proc/fs/jbd2" / name).mkdir(parents=True)
    mounted = Mounts("1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 259:3 / /data rw - ext4 /dev/nvme1n1 rw")
    mount = (MountConfig("/data"),)
    if not refused:
        assert find_volumes(mount, mounted, sysfs, procfs=tmp_path / "proc") == (NVME1,)
        return
    with pytest.raises(CheckFailedError, match="/data has its journal on another device"):
        find_volumes(mount, mounted, sysfs, procfs=tmp_path / "proc")
