r"""Which EBS volumes are behind a mount, by sysfs.

On Nitro instances an EBS volume's NVMe serial is its id without the dash. Under LVM and md the
filesystem's device is virtual, and its `slaves` lead down to the volumes.
"""

import re
from pathlib import Path

from holdstill_agent.config import MountConfig
from holdstill_agent.errors import CheckFailedError
from holdstill_agent.mountinfo import Mounts

_SERIAL = re.compile(r"vol-?([0-9a-f]{8}|[0-9a-f]{17})")
_SYSFS = Path("/sys")


def find_volumes(
    mounts: tuple[MountConfig, ...], mounted: Mounts, sysfs: Path = _SYSFS
) -> tuple[str, ...]:
    """Return the volumes of all mounts, each once; CheckFailedError where one is not known."""
    found: dict[str, None] = {}
    for mount in mounts:
        device = mounted.holding(mount.path).device
        found.update(dict.fromkeys(_of_mount(mount, sysfs / "dev/block" / device)))
    return tuple(found)


def _of_mount(mount: MountConfig, device: Path) -> tuple[str, ...]:
    told = [_serial(disk) for disk in _disks(device)]
    known = tuple(volume for volume in told if volume)
    if known and len(known) == len(told):
        if mount.volumes and set(mount.volumes) != set(known):
            raise CheckFailedError(
                f"{mount.path} is on {', '.join(known)}, its configuration says"
                f" {', '.join(mount.volumes)}: remove `volumes` from it"
            )
        return known
    if mount.volumes:
        return mount.volumes
    raise CheckFailedError(
        f"the device of {mount.path} does not tell its volume (no NVMe serial):"
        ' write volumes = ["vol-…"] beside its path'
    )


def _disks(device: Path) -> list[Path]:
    """Return the physical disks behind a block device's folder in sysfs."""
    if not device.exists():  # a filesystem without a device of its own, as btrfs
        return []
    device = device.resolve()
    slaves = sorted(device.glob("slaves/*"))
    if slaves:
        return [disk for slave in slaves for disk in _disks(slave)]
    return [device.parent if (device / "partition").exists() else device]


def _serial(disk: Path) -> str | None:
    try:
        serial = (disk / "device/serial").read_text().strip()
    except OSError:
        return None
    matched = _SERIAL.fullmatch(serial)
    return f"vol-{matched[1]}" if matched else None
