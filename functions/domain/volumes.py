"""Which volumes a snapshot call covers, and whether EC2 would take it now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from functions.domain.errors import PlanRefusedError

MAX_EXCLUDED: Final = 40
"""EC2: CreateSnapshots lists at most 40 data volumes to exclude."""

APART_S: Final = 15
"""EC2: at least this long between two snapshots of one volume."""

_PENDING_LIMIT: Final = {"st1": 1, "sc1": 1}
_PENDING_LIMIT_ELSE: Final = 5


@dataclass(frozen=True, slots=True)
class AttachedVolume:
    """A volume attached to the target's instance. `boot`: it holds the root device."""

    volume_id: str
    volume_type: str
    boot: bool


@dataclass(frozen=True, slots=True)
class PastSnapshot:
    """A snapshot of one of the volumes, as EC2 lists it."""

    volume_id: str
    started_at: datetime
    pending: bool


@dataclass(frozen=True, slots=True)
class Coverage:
    """The volumes to snapshot, and what the instance has besides."""

    instance: str
    volumes: tuple[str, ...]
    exclude_boot: bool
    excluded: tuple[str, ...]


def cover(instance: str, expected: Sequence[str], attached: Sequence[AttachedVolume]) -> Coverage:
    """Return the coverage of exactly `expected`; raise PlanRefusedError where it cannot be."""
    wanted = tuple(sorted(set(expected)))
    if not wanted:
        raise PlanRefusedError("the agent named no volume behind its mounts")
    elsewhere = sorted(set(wanted) - {volume.volume_id for volume in attached})
    if elsewhere:
        names = ", ".join(elsewhere)
        raise PlanRefusedError(f"not attached to {instance}: {names}; is its agent on that host?")
    others = [volume for volume in attached if volume.volume_id not in wanted]
    excluded = tuple(sorted(volume.volume_id for volume in others if not volume.boot))
    if len(wanted) > 1 and len(excluded) > MAX_EXCLUDED:
        raise PlanRefusedError(
            f"{instance} has {len(excluded)} other volumes; EC2 can exclude {MAX_EXCLUDED}"
        )
    return Coverage(instance, wanted, any(volume.boot for volume in others), excluded)


@dataclass(frozen=True, slots=True)
class Wait:
    """EC2 would refuse the call now; look again after `seconds`."""

    seconds: float
    why: str


def wait_before(
    wanted: Iterable[AttachedVolume], past: Sequence[PastSnapshot], now: datetime
) -> Wait | None:
    """Return what to wait for before EC2 takes another snapshot of these volumes, or None."""
    longest: Wait | None = None
    for volume in wanted:
        of_volume = [snapshot for snapshot in past if snapshot.volume_id == volume.volume_id]
        wait = _wait(volume, of_volume, now)
        if wait and (longest is None or wait.seconds > longest.seconds):
            longest = wait
    return longest


def _wait(volume: AttachedVolume, past: Sequence[PastSnapshot], now: datetime) -> Wait | None:
    pending = sum(snapshot.pending for snapshot in past)
    limit = _PENDING_LIMIT.get(volume.volume_type, _PENDING_LIMIT_ELSE)
    if pending >= limit:
        why = f"{volume.volume_id} has {pending} snapshots pending; EC2 allows {limit}"
        return Wait(
            5, why
        )  # they take minutes: asking more often would only spend the API's tokens
    newest = max((snapshot.started_at for snapshot in past), default=None)
    if newest is None:
        return None
    age_s = (now - newest).total_seconds()
    if age_s > APART_S:
        return None
    why = f"{volume.volume_id} had a snapshot {age_s:.0f} s ago; EC2 wants {APART_S} s between two"
    return Wait(min(APART_S - age_s, APART_S) + 0.5, why)  # EC2 gives StartTime cut to the second
