"""What a volume and a snapshot are: image files with loop devices, or folders without root.

A disk comes into being when it is first needed: the root volumes that moto makes cost nothing.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Protocol

from lab.ec2 import reflink

_GIB = 1 << 30


class Disks(Protocol):
    """Where the bytes of volumes and snapshots are."""

    def restore(self, volume: str, snapshot: str, size_gib: int) -> None:
        """Make a volume's disk from a snapshot's."""

    def attach(self, volume: str, size_gib: int) -> str:
        """Return the device (or folder) on which a host finds the volume."""

    def detach(self, volume: str) -> None:
        """Take the device away; a filesystem mounted from it keeps it until its umount."""

    def snapshot(self, volume: str, snapshot: str, size_gib: int) -> None:
        """Copy the volume as it is now."""

    def delete_volume(self, volume: str) -> None:
        """Delete a volume's disk."""

    def delete_snapshot(self, snapshot: str) -> None:
        """Delete a snapshot's disk."""

    def has_snapshot(self, snapshot: str) -> bool:
        """Return whether a snapshot's copy is there."""

    def device(self, volume: str) -> str | None:
        """Return where an attached volume is; None when it is not attached."""


class ImageDisks:
    """A volume is a sparse image, attached as a loop device; a snapshot is a reflink of it.

    `volumes/vol-….dev` is a symbolic link to the device of an attached volume.
    """

    def __init__(self, folder: Path) -> None:
        self._volumes = folder / "volumes"
        self._snapshots = folder / "snapshots"
        self._volumes.mkdir(parents=True, exist_ok=True)
        self._snapshots.mkdir(parents=True, exist_ok=True)

    def restore(self, volume: str, snapshot: str, size_gib: int) -> None:
        """Make a volume's image from a snapshot's; a larger volume keeps a blank end."""
        image = self._image(volume)
        reflink.copy(self._snapshots / f"{snapshot}.img", image)
        with image.open("r+b") as disk:
            disk.truncate(max(size_gib * _GIB, image.stat().st_size))

    def attach(self, volume: str, size_gib: int) -> str:
        """Attach the image to a free loop device.

        Direct I/O: a flush of the guest's filesystem then waits for the image's own blocks only,
        and a clone finds no dirty pages of the image to write back first.
        """
        image = self._existing(volume, size_gib)
        attached = subprocess.run(
            ["losetup", "--find", "--show", "--direct-io=on", image],
            check=True,
            capture_output=True,
            text=True,
        )
        device = attached.stdout.strip()
        self._link(volume).symlink_to(device)
        return device

    def detach(self, volume: str) -> None:
        """Detach the loop device."""
        device = self.device(volume)
        if device:
            subprocess.run(["losetup", "--detach", device], check=True, capture_output=True)
            self._link(volume).unlink()

    def snapshot(self, volume: str, snapshot: str, size_gib: int) -> None:
        """Share the image's blocks with a new file."""
        reflink.copy(self._existing(volume, size_gib), self._snapshots / f"{snapshot}.img")

    def delete_volume(self, volume: str) -> None:
        """Delete the image."""
        self.detach(volume)
        self._image(volume).unlink(missing_ok=True)

    def delete_snapshot(self, snapshot: str) -> None:
        """Delete the image."""
        (self._snapshots / f"{snapshot}.img").unlink(missing_ok=True)

    def has_snapshot(self, snapshot: str) -> bool:
        """Return whether the image is there."""
        return (self._snapshots / f"{snapshot}.img").exists()

    def device(self, volume: str) -> str | None:
        """Return the loop device of an attached volume."""
        link = self._link(volume)
        return str(link.readlink()) if link.is_symlink() else None

    def _image(self, volume: str) -> Path:
        return self._volumes / f"{volume}.img"

    def _link(self, volume: str) -> Path:
        return self._volumes / f"{volume}.dev"

    def _existing(self, volume: str, size_gib: int) -> Path:
        image = self._image(volume)
        if not image.exists():
            with image.open("xb") as disk:
                disk.truncate(size_gib * _GIB)
        return image


class FolderDisks:
    """Without root a volume is a folder.

    What is not real: nothing can be frozen, and a snapshot takes as long as copying the files
    does, so that it is no instant.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def restore(self, volume: str, snapshot: str, size_gib: int) -> None:
        """Copy the snapshot's files."""
        del size_gib
        shutil.copytree(self._disk("snapshots", snapshot), self._disk("volumes", volume))

    def attach(self, volume: str, size_gib: int) -> str:
        """Return the folder."""
        del size_gib
        disk = self._disk("volumes", volume)
        disk.mkdir(parents=True, exist_ok=True)
        link = disk.with_suffix(".dev")
        link.unlink(missing_ok=True)
        link.symlink_to(disk)
        return str(disk)

    def detach(self, volume: str) -> None:
        """Forget that it is attached."""
        self._disk("volumes", volume).with_suffix(".dev").unlink(missing_ok=True)

    def snapshot(self, volume: str, snapshot: str, size_gib: int) -> None:
        """Copy the files, links as links; a file that vanishes meanwhile is not in the copy."""
        del size_gib
        source = self._disk("volumes", volume)
        source.mkdir(parents=True, exist_ok=True)
        target = self._disk("snapshots", snapshot)
        shutil.copytree(
            source, target, symlinks=True, copy_function=_copy_if_there, ignore=_ignore_sockets
        )

    def delete_volume(self, volume: str) -> None:
        """Delete the folder."""
        self.detach(volume)
        shutil.rmtree(self._disk("volumes", volume), ignore_errors=True)

    def delete_snapshot(self, snapshot: str) -> None:
        """Delete the folder."""
        shutil.rmtree(self._disk("snapshots", snapshot), ignore_errors=True)

    def has_snapshot(self, snapshot: str) -> bool:
        """Return whether the folder is there."""
        return self._disk("snapshots", snapshot).exists()

    def device(self, volume: str) -> str | None:
        """Return the folder of an attached volume."""
        disk = self._disk("volumes", volume)
        return str(disk) if disk.with_suffix(".dev").is_symlink() else None

    def _disk(self, kind: str, name: str) -> Path:
        return self._folder / kind / f"{name}.disk"


def _copy_if_there(source: str, target: str) -> None:
    try:
        shutil.copy2(source, target)
    except FileNotFoundError:
        return


def _ignore_sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]
