"""Which EBS volumes are behind a mount: what its disks tell, and what agent.toml says.

On Nitro instances an EBS volume's NVMe serial is its id without the dash. A Xen instance's disk
tells nothing, and its name may be another than the one it was attached by, so only the operator
knows; that they are this instance's volumes is for the conductor to see.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from holdstill_agent.block_devices import (
    PROCFS,
    SYSFS,
    UDEV,
    Disk,
    ask_lsblk,
    devices_of,
    disks_by_lsblk,
    disks_by_sysfs,
    has_journal_elsewhere,
    lost_parts,
)
from holdstill_agent.config import MountConfig
from holdstill_agent.errors import CheckFailedError
from holdstill_agent.mountinfo import Mounts

_SERIAL = re.compile(r"vol-?([0-9a-f]{8}|[0-9a-f]{17})")
_XEN = re.compile(r"xvd([a-z]+)\d*")
_INSTANCE_STORE = "Amazon EC2 NVMe Instance Storage"


def find_volumes(
    mounts: tuple[MountConfig, ...],
    mounted: Mounts,
    sysfs: Path = SYSFS,
    lsblk: Callable[[], str] = ask_lsblk,
    *,
    procfs: Path = PROCFS,
    udev: Path = UDEV,
) -> tuple[str, ...]:
    """Return the volumes of all mounts, each once; CheckFailedError where one is not known."""
    found: dict[str, None] = {}
    for mount in mounts:
        if mounted.at(mount.path) or not mount.volumes:
            disks = _disks(mount, mounted, sysfs, lsblk, procfs=procfs, udev=udev)
            lost = lost_parts(mounted.holding(mount.path), sysfs, udev)
            found.update(dict.fromkeys(_volumes(mount, disks, lost)))
        else:  # no mount point, which only a freezer's stand-in accepts: nothing to look at
            found.update(dict.fromkeys(mount.volumes))
    return tuple(found)


def _disks(
    mount: MountConfig,
    mounted: Mounts,
    sysfs: Path,
    lsblk: Callable[[], str],
    *,
    procfs: Path,
    udev: Path,
) -> tuple[Disk, ...]:
    filesystem = mounted.holding(mount.path)
    devices = devices_of(filesystem, sysfs, udev)
    if not devices and filesystem.kind == "btrfs":  # of members that cannot be seen from here
        name = Path(filesystem.source).name
        return tuple(Disk(name) for _ in mount.volumes or (name,))
    if not devices:
        raise CheckFailedError(
            f"{mount.path} is {filesystem.kind} on {filesystem.source or 'nothing'}, no disk of"
            " this host: EBS has no snapshot of that; name a filesystem on EBS volumes"
        )
    if has_journal_elsewhere(filesystem, sysfs, procfs):
        raise CheckFailedError(
            f"{mount.path} has its journal on another device, which nothing here names: its volume"
            " would be missing; move the journal into the filesystem (tune2fs -O ^has_journal,"
            " then -j, while it is not mounted)"
        )
    disks = _each_once(disks_by_sysfs(device) for device in devices)
    if mount.volumes or all(disk.serial for disk in disks):
        return disks
    # udev may know a serial that sysfs does not show.
    text = lsblk()
    asked = _each_once(disks_by_lsblk(text, device.name) for device in devices)
    same = {disk.name for disk in asked} == {disk.name for disk in disks}
    return asked if same else disks


def _each_once(groups: Iterable[tuple[Disk, ...]]) -> tuple[Disk, ...]:
    return tuple(dict.fromkeys(disk for group in groups for disk in group))


def _volumes(mount: MountConfig, disks: tuple[Disk, ...], lost: tuple[str, ...]) -> tuple[str, ...]:
    """Return the volumes behind a mount, those that its disks tell first."""
    stores = [disk.name for disk in disks if disk.model == _INSTANCE_STORE]
    if stores:
        raise CheckFailedError(
            f"{mount.path} is on {', '.join(stores)}, an instance store: EBS has no snapshot of it,"
            " and it is lost when the instance stops; move the database to EBS volumes"
        )
    told = tuple(dict.fromkeys(volume for disk in disks if (volume := _told(disk))))
    silent = [disk for disk in disks if not _told(disk)]
    if not mount.volumes:
        if lost:
            raise CheckFailedError(
                f"{mount.path} has its {' and its '.join(lost)}, which leads to no device"
                ' from here: write volumes = ["vol-…", "vol-…"] beside its path, with all that it'
                " is on"
            )
        if silent:
            raise CheckFailedError(_what_to_write(mount, silent))
        return told
    if not silent and not lost and set(told) != set(mount.volumes):
        raise CheckFailedError(
            f"{mount.path} is on {', '.join(told)}, its configuration says"
            f" {', '.join(mount.volumes)}: remove `volumes` from it"
        )
    configured = set(mount.volumes)
    beyond = len(configured) - len(told) - len(silent)
    # What is lost may be on several volumes, and is not on those that are known.
    if not set(told) <= configured or (beyond < 1 if lost else beyond != 0):
        shown = ", ".join([*map(_shown, disks), *lost])
        raise CheckFailedError(
            f"{mount.path} is on {len(disks) + len(lost)} disks ({shown}), its"
            f" configuration says {', '.join(mount.volumes)}: write the volume of each disk"
        )
    return told + tuple(volume for volume in mount.volumes if volume not in told)


def _told(disk: Disk) -> str | None:
    matched = _SERIAL.fullmatch(disk.serial)
    return f"vol-{matched[1]}" if matched else None


def _shown(disk: Disk) -> str:
    return f"{disk.name}: {_told(disk) or 'tells none'}"


def _what_to_write(mount: MountConfig, silent: list[Disk]) -> str:
    names = ", ".join(disk.name for disk in silent)
    said = (
        f"the device of {mount.path} does not tell its volume ({names} has no serial of EBS):"
        ' write volumes = ["vol-…"] beside its path'
    )
    if letters := [matched[1] for disk in silent if (matched := _XEN.fullmatch(disk.name))]:
        places = ", ".join(f"/dev/sd{letter} or /dev/xvd{letter}" for letter in letters)
        said += f"; EC2 most often shows a Xen instance's as attached at {places}"
    return said
