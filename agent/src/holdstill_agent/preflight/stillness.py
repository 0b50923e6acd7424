"""Whether somebody else has frozen a filesystem: no part of Linux says so without a freeze.

mountinfo and statfs do not show it, syncfs returns at once, and a write that tries would hang,
beyond SIGKILL, until a stranger's thaw. What tells is FIFREEZE itself, by EBUSY. But whatever is
written to the device, other than by a syncfs, proves that nothing is frozen; so only a filesystem
on which nobody writes is frozen for a moment and thawed again. Where nobody writes that holds
nobody, and where nothing is dirty it is short.
"""

from pathlib import Path

from holdstill_agent.block_devices import SYSFS, devices_of
from holdstill_agent.clock import Pause, monotonic_ms
from holdstill_agent.config import Config
from holdstill_agent.errors import FreezeFailedError
from holdstill_agent.freezer import Freezer
from holdstill_agent.mountinfo import Mounts

_WRITES = 4  # Documentation/block/stat.rst: write I/Os processed, the fifth field


def count_writes(config: Config, mounted: Mounts, sysfs: Path = SYSFS) -> dict[str, int | None]:
    """Return each mount's writes so far, as its device counts them; None where it does not."""
    return {mount.path: _writes(mounted, mount.path, sysfs) for mount in config.mounts}


def still(before: dict[str, int | None], after: dict[str, int | None]) -> tuple[str, ...]:
    """Return the mounts of which no write proves that they are not frozen."""
    return tuple(path for path, count in after.items() if count is None or count == before[path])


def rehearse(freezer: Freezer, config: Config, run_id: str, pause: Pause) -> tuple[Freezer, str]:
    """Freeze and thaw; return a fresh freezer, as each freezes once, and what was found.

    AlreadyFrozenError if somebody else holds a freeze, FreezeFailedError unless this one held until
    it was told to thaw. Marker, guard and deadline are those of every freeze; there is no lock.
    """
    took_us = freezer.freeze(run_id, monotonic_ms() + config.budget_ms)
    report = freezer.thaw(monotonic_ms() + config.budget_ms)
    if report is None or report.reason != "commanded":  # whoever ends its line waits for the thaw
        told = f"{report.reason}, after {report.held_ms} ms" if report else "it says nothing of it"
        raise FreezeFailedError(f"a freeze was tried, and not thawed when told: {told}")
    if not report.intact:
        raise FreezeFailedError(
            "a freeze was tried, and somebody else thawed it: find out who (fsfreeze, xfs_freeze)"
        )
    freezer.close()
    freezer.reap(pause)
    return Freezer.start(config), f"nothing was written, so a freeze was tried: {took_us} us"


def _writes(mounted: Mounts, path: str, sysfs: Path) -> int | None:
    try:
        stats = [
            (device / "stat").read_text().split()
            for device in devices_of(mounted.holding(path), sysfs)
        ]
    except OSError:
        return None
    return sum(int(stat[_WRITES]) for stat in stats) if stats else None
