"""What the kernel holds for a folder: mounts and loop devices, found by looking, not by memory.

A journal can miss what was made an instant before a SIGKILL; /proc and /sys cannot. Everything of
a lab lies below its folder, so the folder's name finds all of it.
"""

import contextlib
import fcntl
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_FITHAW = 0xC0045878
_PATIENCE_S = 10.0  # a mount namespace made meanwhile has copied ours, and keeps them until it ends
_PAUSE_S = 0.02


def mounts_of(folder: Path) -> list[Path]:
    """Return the mount points below `folder`, or on loop devices from it, the newest first."""
    devices = {str(device) for device in loops_of(folder)}
    found = []
    for line in _lines(Path("/proc/self/mountinfo")):
        fields = line.split()
        point = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields[4]))
        source = fields[fields.index("-") + 2]
        if source in devices or _is_below(point, folder):
            found.append(point)
    return found[::-1]


def loops_of(folder: Path) -> list[Path]:
    """Return the loop devices whose image lies below `folder`."""
    found = []
    for backing in sorted(Path("/sys/block").glob("loop*/loop/backing_file")):
        with contextlib.suppress(OSError):  # detached while we look
            image = backing.read_text().rstrip("\n").removesuffix(" (deleted)")
            # Inside a mounted image the kernel shows the path as it was at losetup: absolute.
            if _is_below(Path(image), folder):
                found.append(Path("/dev") / backing.parents[1].name)
    return found


def thaw(point: Path) -> bool:
    """Thaw a filesystem; return whether it was frozen. An ordinary one answers EINVAL."""
    fd = os.open(point, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(fd, _FITHAW, 0)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def thaw_all(folder: Path) -> None:
    """Thaw whatever a killed test or demo left frozen: its writers cannot even be killed before."""
    for point in mounts_of(folder):
        with contextlib.suppress(OSError):
            thaw(point)


def release(folder: Path) -> list[str]:
    """Unmount and detach everything of `folder`; return what could not be, as sentences.

    From the inside out, each pass does what it can. Never `umount --lazy`: the kernel then names
    the images inside by paths of no filesystem, and the next look does not find them.
    """
    patient_until = time.monotonic() + _PATIENCE_S
    while True:
        for point in mounts_of(folder):
            _run("umount", point)
        for device in reversed(loops_of(folder)):
            _run("losetup", "--detach", device)
        left = [f"{point} is busy and still mounted" for point in mounts_of(folder)]
        left += [f"{device} is still attached" for device in loops_of(folder)]
        if not left or time.monotonic() > patient_until:
            return left
        time.sleep(_PAUSE_S)


def _run(*command: str | Path) -> int:
    return subprocess.run(command, check=False, capture_output=True).returncode


def _is_below(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def _lines(path: Path) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError):  # not Linux
        yield from os.fsdecode(path.read_bytes()).splitlines()  # a path need not be UTF-8
