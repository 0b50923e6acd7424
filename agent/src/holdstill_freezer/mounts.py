"""Which filesystems may be frozen, and by which descriptor.

A freeze holds the whole filesystem, whatever path names it: FIFREEZE on a subdirectory or a bind
mount stops everything else on it too. So a path must be a mount of a whole filesystem, and that
one must hold nothing that this host needs in order to thaw it.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from holdstill_freezer.errors import UnfitMountError

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
    rows = _mountinfo()
    mounts = tuple(_open(path, rows) for path in paths)
    root = next(row.device for row in reversed(rows.values()) if row.point == "/")
    needed = {
        device_of(run_dir): "the filesystem of freeze.run_dir: name another, as /run/holdstill"
    }
    for swap_file in _swap_files():
        needed[device_of(swap_file)] = (
            f"the filesystem of the swap file {swap_file}: swapoff it, or move it elsewhere"
        )
    needed[root] = (
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
    if len({mount.device for mount in mounts}) < len(mounts):
        raise UnfitMountError("two of [[mounts]] are the same filesystem: name it once")
    return mounts


def device_of(path: str) -> str:
    """Return the "major:minor" of the filesystem that holds a path; UnfitMountError if none."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise UnfitMountError(f"{path}: {error.strerror}") from error
    try:
        return _row_of(descriptor, _mountinfo()).device
    finally:
        os.close(descriptor)


def _open(path: str, rows: Mapping[int, _Row]) -> Mount:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UnfitMountError(f"{path}: {error.strerror}") from error
    row = _row_of(descriptor, rows)
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


def _row_of(descriptor: int, rows: Mapping[int, _Row]) -> _Row:
    """By mount id: st_dev is another number on btrfs, and a path may be mounted over."""
    for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines():
        if line.startswith("mnt_id:") and (row := rows.get(int(line.split()[1]))):
            return row
    raise UnfitMountError("its mount is not in /proc/self/mountinfo")


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
    lines = os.fsdecode(Path("/proc/swaps").read_bytes()).rstrip("\n").split("\n")[1:]
    fields = [line.split() for line in lines]
    return [_unescape(name) for name, kind, *_ in fields if kind == "file"]


def _unescape(text: str) -> str:
    r"""Undo the kernel's octal escapes of space, tab, newline and backslash (as \040)."""
    for octal in ("040", "011", "012", "134"):
        text = text.replace("\\" + octal, chr(int(octal, 8)))
    return text
