"""The filesystem on which the Region's disks lie: one that can clone a file in a millisecond."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from lab.ec2 import reflink

_IMAGE_BYTES = 64 << 30
"""Sparse: it takes the room that is written, in volumes and changed parts of snapshots."""


def can_make_disks() -> str | None:
    """Return None when volumes can be real disks here, else the reason why not."""
    if sys.platform != "linux":
        return "not Linux"
    if os.geteuid() != 0:
        return "not root"
    missing = [program for program in ("losetup", "mount", "mkfs.xfs") if not shutil.which(program)]
    return f"{', '.join(missing)} not installed" if missing else None


def prepare(folder: Path) -> None:
    """Make `folder` and, where its filesystem cannot clone, mount an XFS image there."""
    folder.mkdir(parents=True, exist_ok=True)
    if reflink.can_clone(folder):
        return
    image = folder.with_suffix(".img")
    image.unlink(missing_ok=True)
    with image.open("xb") as disk:
        disk.truncate(_IMAGE_BYTES)
    for command in (
        # A journal of 64 MB: the 2 GB that mkfs would choose for the size are written at once.
        ("mkfs.xfs", "-q", "-m", "reflink=1", "-l", "size=64m", "-K", image),
        ("losetup", "--find", "--show", "--direct-io=on", image),
    ):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    subprocess.run(
        ["mount", "-t", "xfs", "-o", "noatime", done.stdout.strip(), folder],
        check=True,
        capture_output=True,
    )
