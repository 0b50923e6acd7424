"""Which filesystems may be frozen, and by which descriptor.

A freeze holds the whole filesystem, whatever path names it: FIFREEZE on a subdirectory or a bind
mount stops everything else on it too. So a path must be a mount of a whole filesystem, and that
one must hold nothing that this host needs in order to thaw it.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from holdstill_freezer.errors import UnfitMountError
from holdstill_freezer.sysfs import has_journal_elsewhere, images_below

_FREEZABLE = ("xfs", "ext4", "btrfs")  # many others do not know FIFREEZE, and say so too late


@dataclass(frozen=True, slots=True)
class Mount:
    """A filesystem that may be frozen. `device`: "major:minor" of its superblock."""

    path: str
    device: str
    kind: str
    descriptor: int


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of /proc/self/mountinfo (proc_pid_mountinfo(5))."""

    device: str
    root: str
    point: str
    kind: str


def open_mounts(paths: Iterable[str], run_dir: str) -> tuple[Mount, ...]:
    """Open them in order; UnfitMountError says which must not be frozen, and why."""
    mounts = tuple(_open(path) for path in paths)
    needed = {
        device_of(run_dir): "the filesystem of freeze.run_dir: name another, as /run/holdstill"
    }
    for swap_file in _swap_files():
        needed[_device_of_swap(swap_file)] = (
            f"the filesystem of the swap file {swap_file}: swapoff it, or move it elsewhere"
        )
    needed[device_of("/")] = (
        "the root filesystem, whose freeze would stop this host: move the database to a volume of"
        " its own, or set freeze.enabled = false"
    )
    for mount in mounts:
        if mount.device in needed:
            raise UnfitMountError(f"{mount.path} is on {needed[mount.device]}")
        if mount.kind not in _FREEZABLE:
            tried = ", ".join(_FREEZABLE)
            raise UnfitMountError(
                f"{mount.path} is {mount.kind}, and freezing was tried on {tried}: move the"
                " database to one of these, or set freeze.enabled = false"
            )
        if mount.kind == "ext4" and has_journal_elsewhere(mount.device):
            raise UnfitMountError(
                f"{mount.path} has its journal on another device, of which there would be no"
                " snapshot: move the journal into the filesystem (tune2fs -O ^has_journal, then"
                " -j, while it is not mounted)"
            )
    if len({mount.device for mount in mounts}) < len(mounts):
        raise UnfitMountError("two of [[mounts]] are the same filesystem: name it once")
    _require_no_image_within(mounts)
    return mounts


def device_of(path: str) -> str:
    """Return the "major:minor" of the filesystem that holds a path; UnfitMountError if none."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise UnfitMountError(f"{path}: {error.strerror}") from error
    try:
        return _row_of(descriptor).device
    finally:
        os.close(descriptor)


def mount_points() -> frozenset[str]:
    """Return the real path of each; a nested btrfs subvolume is none, though of another st_dev."""
    return frozenset(row.point for row in _mountinfo().values())


def _require_no_image_within(mounts: Iterable[Mount]) -> None:
    """Raise UnfitMountError of a filesystem in an image on another: its writes go through it.

    Frozen after that one, or thawed before it, it would wait for it, as no signal could end.
    """
    paths = {mount.device: mount.path for mount in mounts}
    for mount in mounts:
        for image, device in _images_beneath(mount.device):
            if outer := paths.get(device):
                raise UnfitMountError(
                    f"{mount.path} lies in {image}, which is on {outer}: frozen, that one would"
                    f" keep it waiting; name only one of them, or move {mount.path} to a disk"
                )


def _images_beneath(device: str) -> Iterator[tuple[str, str]]:
    """Yield the loop images that a device leads down to, each with the filesystem that it is on."""
    for image in images_below(device):
        try:
            holding = device_of(image)
        except UnfitMountError:  # deleted, or not to be seen from here
            continue
        yield image, holding
        yield from _images_beneath(holding)


def _device_of_swap(path: str) -> str:
    try:
        return device_of(path)
    except UnfitMountError as error:
        raise UnfitMountError(
            f"the swap file {path} cannot be looked at from here, and may be on one of [[mounts]]"
            f" ({error}): swapoff it or, where it lies below /home or /root, write"
            " ProtectHome=read-only in a drop-in of the freezer's unit; one that was deleted ends"
            " with a restart of the host"
        ) from error


def _open(path: str) -> Mount:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UnfitMountError(f"{path}: {error.strerror}") from error
    row = _row_of(descriptor)
    if row.point != os.path.realpath(path):
        raise UnfitMountError(
            f"{path} is no mount point, it is part of {row.point}: mount the database's volume"
            " there, or name the whole filesystem's mount point in [[mounts]]"
        )
    if row.root != "/":
        raise UnfitMountError(
            f"{path} shows only {row.root} of its filesystem; name the whole one's mount point"
        )
    return Mount(path, row.device, row.kind, descriptor)


def _row_of(descriptor: int) -> _Row:
    """By mount id: st_dev is another number on btrfs, and a path may be mounted over."""
    rows = _mountinfo()  # after it was opened, which may have mounted it: x-systemd.automount
    for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines():
        if line.startswith("mnt_id:") and (row := rows.get(int(line.split()[1]))):
            return row
    path = Path(f"/proc/self/fd/{descriptor}").readlink()
    raise UnfitMountError(
        f"{path} is on a mount that /proc/self/mountinfo does not show: if this process is in a"
        " chroot, start it without, or bind-mount its root"
    )


def _mountinfo() -> dict[int, _Row]:
    """Read it. The agent has a reader of its own: neither package imports the other."""
    rows = {}
    text = os.fsdecode(Path("/proc/self/mountinfo").read_bytes())  # a path need not be UTF-8
    for line in text.rstrip("\n").split("\n"):
        place, _, kind = line.partition(" - ")
        mount_id, _, device, root, point, *_ = place.split(" ")
        rows[int(mount_id)] = _Row(
            device, _unescape(root), _unescape(point), kind.partition(" ")[0]
        )
    return rows


def _swap_files() -> list[str]:
    try:
        swaps = os.fsdecode(Path("/proc/swaps").read_bytes())
    except FileNotFoundError:
        if not Path("/proc/meminfo").exists():
            raise UnfitMountError(
                "/proc/swaps is hidden, and a swap file may be on one of [[mounts]]: the freezer's"
                " unit must not have ProcSubset=pid"
            ) from None
        return []  # a kernel without swap
    fields = [line.split() for line in swaps.rstrip("\n").split("\n")[1:]]
    return [_unescape(name) for name, kind, *_ in fields if kind == "file"]


def _unescape(text: str) -> str:
    r"""Undo the kernel's octal escapes of space, tab, newline and backslash (as \040)."""
    for octal in ("040", "011", "012", "134"):
        text = text.replace("\\" + octal, chr(int(octal, 8)))
    return text
