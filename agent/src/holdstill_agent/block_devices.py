"""From a filesystem down to the disks that it is on, by sysfs; and by lsblk, which asks udev too.

A filesystem may be on a partition, or on a virtual device (LVM, md, dm-crypt, dm-multipath), whose
`slaves` lead down; btrfs may be on several devices by itself, xfs have its log or its realtime data
on another one, ext4 its journal. Devices are looked for by name in sysfs, and by their links in
what udev wrote down, not in /dev: there is none of them in the sandbox (PrivateDevices).
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdstill_agent.mountinfo import Mount

SYSFS = Path("/sys")
PROCFS = Path("/proc")
UDEV = Path("/run/udev/data")

_LSBLK = ("lsblk", "--json", "--output", "KNAME,MAJ:MIN,SERIAL,MODEL")
_LSBLK_WITHIN_S = 5.0
# xfs(5): what else a filesystem is on, by the path that mount(8) was told.
_FURTHER = {"logdev": "log", "rtdev": "realtime data"}


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk, by the kernel's name for it. `serial`, `model`: empty where it tells none."""

    name: str
    serial: str = ""
    model: str = ""


def devices_of(mount: Mount, sysfs: Path = SYSFS, udev: Path = UDEV) -> tuple[Path, ...]:
    """Return the folders in sysfs of a filesystem's devices; none for tmpfs, NFS, ZFS and such.

    Without those of xfs that are not found: see `lost_parts`.
    """
    known = sysfs / "dev/block" / mount.device
    if known.exists():
        further = (device for _, device in _further(mount, sysfs, udev) if device)
        return (known.resolve(), *further)
    # A btrfs has a number of its own; its members are known by their names.
    name = Path(os.path.realpath(mount.source)).name
    for members in sorted(sysfs.glob("fs/btrfs/*/devices")):
        if name and (members / name).exists():
            return tuple(sorted(member.resolve() for member in members.iterdir()))
    return ()


def lost_parts(mount: Mount, sysfs: Path = SYSFS, udev: Path = UDEV) -> tuple[str, ...]:
    """Return what xfs has on a device that is not found, as "log on /dev/disk/by-label/log"."""
    return tuple(part for part, device in _further(mount, sysfs, udev) if not device)


def _further(mount: Mount, sysfs: Path, udev: Path) -> Iterator[tuple[str, Path | None]]:
    """Yield what is on the devices that the superblock's options name, and those in sysfs."""
    if mount.kind != "xfs":
        return
    for option in mount.options:
        key, _, path = option.partition("=")
        if key in _FURTHER:
            yield f"{_FURTHER[key]} on {path}", _named(path, sysfs) or _linked(path, sysfs, udev)


def _linked(path: str, sysfs: Path, udev: Path) -> Path | None:
    """Return the folder in sysfs of the one device that udev gave that link in /dev, else None.

    Its files are called b and the device's number, and have a line `S:` for each link. Where
    several devices have the same, udev decides by what may change until the next start.
    """
    line = f"S:{path.removeprefix('/dev/')}"
    numbers = [
        told.name.removeprefix("b")
        for told in udev.glob("b*:*")
        if line in _read(told).splitlines()
    ]
    devices = {known.resolve() for one in numbers if (known := sysfs / "dev/block" / one).exists()}
    return devices.pop() if len(devices) == 1 else None


def _named(path: str, sysfs: Path) -> Path | None:
    """Return the folder in sysfs of the device with that path in /dev, None if there is none."""
    name = os.path.realpath(path).removeprefix("/dev/")  # of a link, if there is a /dev to follow
    if name.startswith("/"):
        return None
    if (known := sysfs / "class/block" / name.replace("/", "!")).exists():
        return known.resolve()
    for told in sorted(sysfs.glob("class/block/*/dm/name")):
        if _read(told) == _mapped(name):
            return told.parents[1].resolve()
    return None


def _mapped(name: str) -> str | None:
    """Return the device mapper's own name for one in /dev: mapper/NAME, or LVM's GROUP/VOLUME."""
    folder, slash, last = name.rpartition("/")
    if not slash or folder == "mapper":
        return last if slash else None
    return f"{folder.replace('-', '--')}-{last.replace('-', '--')}"


def has_journal_elsewhere(mount: Mount, sysfs: Path = SYSFS, procfs: Path = PROCFS) -> bool:
    """Return whether an ext4's journal is seen to be on another device, as the freezer sees it.

    With ProcSubset=pid, as in the agent's unit, there is nothing to be seen.
    """
    names = [journal.name for journal in procfs.glob("fs/jbd2/*")]
    own = (sysfs / "dev/block" / mount.device).resolve().name
    if mount.kind not in ("ext3", "ext4") or any(name.startswith(f"{own}-") for name in names):
        return False
    return any((sysfs / "class/block" / name).exists() for name in names)


def disks_by_sysfs(device: Path) -> tuple[Disk, ...]:
    """Return the disks below a device's folder in sysfs, each once."""
    return tuple(dict.fromkeys(_below(device)))


def _below(device: Path) -> Iterator[Disk]:
    slaves = sorted(device.glob("slaves/*"))
    if (device / "partition").exists():  # of a disk, or of a virtual device
        yield from _below(device.parent)
    elif slaves:
        for slave in slaves:
            yield from _below(slave.resolve())
    else:
        told = device / "device"
        yield Disk(device.name, _read(told / "serial"), _read(told / "model"))


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def ask_lsblk() -> str:
    """Return its JSON of all devices, empty where there is no lsblk or it does not answer."""
    try:
        asked = subprocess.run(  # noqa: S603 - a constant
            _LSBLK,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=_LSBLK_WITHIN_S,
            text=True,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return asked.stdout


def disks_by_lsblk(text: str, name: str) -> tuple[Disk, ...]:
    """Return the disks below the device of that name, in lsblk's JSON; none if it is not there.

    lsblk draws it upside down: the disks are the roots, and what is on several is below each.
    """
    try:
        roots = json.loads(text)["blockdevices"]
        found = [_disk(root) for root in roots if _holds(root, name)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()
    return tuple(dict.fromkeys(found))


def _holds(node: dict[str, Any], name: str) -> bool:
    children = node.get("children") or []
    return node["kname"] == name or any(_holds(child, name) for child in children)


def _disk(node: dict[str, Any]) -> Disk:
    serial, model = (str(node.get(key) or "").strip() for key in ("serial", "model"))
    return Disk(node["kname"], serial, model)
