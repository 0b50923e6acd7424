"""moto's EC2, with disks under its volumes and EC2's rules for snapshots.

The subclass takes the place of moto's own through the registry that all of moto asks
(`moto.ec2.models.ec2_backends`).
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.core.utils import utcnow
from moto.ec2 import models
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.models.elastic_block_store import Snapshot, Volume, VolumeAttachment
from moto.ec2.utils import random_snapshot_id

from lab.ec2.controls import Controls
from lab.ec2.disks import Disks

PENDING_AT_MOST = {"st1": 1, "sc1": 1}
PENDING_AT_MOST_OTHERWISE = 5


class CopiedSnapshot(Snapshot):
    """A snapshot that is `pending` for a while after its copy was made."""

    def __init__(
        self, backend: EC2Backend, volume: Volume, description: str, completes_at: float
    ) -> None:
        super().__init__(backend, random_snapshot_id(), volume, description, volume.encrypted)
        self.begun = time.monotonic()
        self._completes_at = completes_at
        self.size_gib: int = volume.size
        self.copied_ns = (0, 0)
        """When the copy began and ended, on the machine's monotonic clock, in nanoseconds."""

    @property
    def status(self) -> str:
        """`pending`, then `completed`."""
        return "pending" if time.monotonic() < self._completes_at else "completed"

    @status.setter
    def status(self, _: str) -> None:
        """Moto's constructor sets `completed`."""

    @property
    def progress(self) -> str:
        """As EC2 shows it: empty at first."""
        return "100%" if self.status == "completed" else ""

    @property
    def volume_size(self) -> int:
        """The volume's size when the snapshot was made, in GiB."""
        return self.size_gib


class DiskBackend(EC2Backend):
    """EC2 of one account and Region, on the disks that the server gave to the class."""

    disks: Disks
    controls: Callable[[], Controls]

    def create_volume(
        self, size: int, zone_name: str, snapshot_id: str | None = None, *more: Any, **options: Any
    ) -> Volume:
        """Make a volume, empty or from a snapshot."""
        if snapshot_id and not self.disks.has_snapshot(snapshot_id):
            raise EC2ClientError("InvalidSnapshot.NotFound", f"{snapshot_id} has no copy")
        volume = super().create_volume(size, zone_name, snapshot_id, *more, **options)
        if snapshot_id:
            self.disks.restore(volume.id, snapshot_id, int(volume.size))
        return volume

    def delete_volume(self, volume_id: str) -> Volume:
        """Delete a volume and its disk."""
        volume = super().delete_volume(volume_id)
        self.disks.delete_volume(volume_id)
        return volume

    def attach_volume(
        self,
        volume_id: str,
        instance_id: str,
        device_path: str,
        delete_on_termination: bool = False,
    ) -> VolumeAttachment | None:
        """Attach a volume to an instance, and its disk to this machine."""
        volume = self.get_volume(volume_id)
        instance = self.get_instance(instance_id)
        if volume.attachment:
            raise EC2ClientError("VolumeInUse", f"{volume_id} is already attached to an instance")
        if device_path in instance.block_device_mapping:
            raise EC2ClientError("InvalidParameterValue", f"{device_path} is already in use")
        attachment = super().attach_volume(
            volume_id, instance_id, device_path, delete_on_termination
        )
        if device_path != instance.root_device_name:  # nobody boots our instances
            self.disks.attach(volume_id, int(volume.size))
        return attachment

    def detach_volume(self, volume_id: str, instance_id: str, device_path: str) -> Any:
        """Detach a volume from its instance, and its disk from this machine."""
        attached = self.get_volume(volume_id).attachment
        if attached and not instance_id:  # EC2 needs the volume alone; moto does not
            instance_id = attached.instance.id
        attachment = super().detach_volume(volume_id, instance_id, device_path)
        self.disks.detach(volume_id)
        return attachment

    def delete_snapshot(self, snapshot_id: str) -> Snapshot:
        """Delete a snapshot and its copy."""
        snapshot = super().delete_snapshot(snapshot_id)
        self.disks.delete_snapshot(snapshot_id)
        return snapshot

    def chosen_volumes(
        self, instance_id: str, *, exclude_boot: bool, excluded: Iterable[str]
    ) -> list[Volume]:
        """Return the volumes that CreateSnapshots takes: all attached ones but the exclusions."""
        instance = self.get_instance(instance_id)
        devices = dict(instance.get_block_device_mapping)
        if exclude_boot:
            devices.pop(instance.root_device_name, None)
        attached = {device.volume_id for device in devices.values()}
        foreign = set(excluded) - attached
        if foreign:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"not attached to {instance_id}: {', '.join(sorted(foreign))}",
            )
        chosen = sorted(attached - set(excluded))
        if not chosen:
            raise EC2ClientError("InvalidParameterCombination", "no volume is left to snapshot")
        return [self.get_volume(volume_id) for volume_id in chosen]

    def check_limits(self, volumes: Iterable[Volume]) -> None:
        """Raise EC2's error when one of the volumes may not be snapshot now."""
        controls = self.controls()
        if not controls.limits:
            return
        now = time.monotonic()
        for volume in volumes:
            made = [
                s
                for s in self.snapshots.values()
                if isinstance(s, CopiedSnapshot) and s.volume is volume
            ]
            if any(now - snapshot.begun < controls.spacing_s for snapshot in made):
                raise EC2ClientError(
                    "SnapshotCreationPerVolumeRateExceeded",
                    "The maximum per volume CreateSnapshot request rate has been exceeded. "
                    "Use an increasing or variable sleep interval between requests.",
                )
            pending = sum(snapshot.status == "pending" for snapshot in made)
            if pending >= PENDING_AT_MOST.get(volume.volume_type, PENDING_AT_MOST_OTHERWISE):
                raise EC2ClientError(
                    "ConcurrentSnapshotLimitExceeded",
                    "Maximum allowed in-progress snapshots for a single volume exceeded.",
                )

    def copy_volumes(
        self, volumes: list[Volume], description: str, tags: dict[str, str]
    ) -> list[CopiedSnapshot]:
        """Copy the volumes one right after the other: 1-2 ms apart with FICLONE."""
        completes_at = time.monotonic() + self.controls().completion_ms / 1000
        snapshots = [CopiedSnapshot(self, volume, description, completes_at) for volume in volumes]
        for snapshot in snapshots:
            begun_ns = time.monotonic_ns()
            self.disks.snapshot(snapshot.volume.id, snapshot.id, int(snapshot.volume.size))
            snapshot.copied_ns = (begun_ns, time.monotonic_ns())
        if not self.controls().keep_copies:
            for snapshot in snapshots:
                self.disks.delete_snapshot(snapshot.id)
        for snapshot in snapshots:
            snapshot.start_time = utcnow()
            snapshot.add_tags(tags)
            self.snapshots[snapshot.id] = snapshot
        return snapshots


def install(disks: Disks, controls: Callable[[], Controls]) -> None:
    """Make moto use DiskBackend for every account and Region."""
    DiskBackend.disks = disks
    DiskBackend.controls = staticmethod(controls)
    models.ec2_backends.backend = DiskBackend
