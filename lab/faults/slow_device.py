"""A block device that writes no faster than it is told: the kernel throttles it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.faults.errors import NotHereError

_THROTTLE = Path("/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device")
"""Of the first cgroups' root: it holds for everybody. The second have no such file there."""


@contextmanager
def slowed(device: Path, bytes_a_second: int) -> Iterator[None]:
    """Throttle the device's writes. NotHereError where this kernel cannot."""
    if not _THROTTLE.exists():
        raise NotHereError(f"no {_THROTTLE}: a device can be slowed with cgroups v1 only")
    number = Path(f"/sys/class/block/{device.resolve().name}/dev").read_text().strip()
    _THROTTLE.write_text(f"{number} {bytes_a_second}")
    try:
        yield
    finally:
        _THROTTLE.write_text(f"{number} 0")
