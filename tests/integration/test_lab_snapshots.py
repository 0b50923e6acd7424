"""The lab's EC2: volumes that are disks, snapshots that are their state at one instant."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from lab.region import ZONE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.region import Host, Region

pytestmark = [pytest.mark.emulator, pytest.mark.root]


@pytest.fixture
def host(region: Region) -> Host:
    """Return an instance with a root volume and two data volumes."""
    return region.add_host([1, 2])


def write(device: Path, text: bytes, at: int = 0) -> None:
    """Put bytes on a disk, as a filesystem would: through the device, and flushed."""
    disk = os.open(device, os.O_WRONLY)
    try:
        os.pwrite(disk, text, at)
        os.fsync(disk)
    finally:
        os.close(disk)


def read(device: Path, length: int, at: int = 0) -> bytes:
    """Return bytes of a disk."""
    disk = os.open(device, os.O_RDONLY)
    try:
        return os.pread(disk, length, at)
    finally:
        os.close(disk)


def refusal(call: Callable[..., Any], **arguments: Any) -> str:
    """Return the code with which a call is refused."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return str(refused.value.response["Error"]["Code"])


def once(region: Region, **config: Any) -> Any:
    """Return an EC2 client that tries once, as the conductor's does."""
    return region.client("ec2", retries={"total_max_attempts": 1}, **config)


def test_a_snapshot_is_the_volume_at_the_instant_of_the_call(region: Region, host: Host) -> None:
    """What was written before is in a volume made from it; what was written after is not."""
    ec2, volume = region.client("ec2"), host.volumes[0]
    write(volume.device, b"before")
    snapshot = ec2.create_snapshot(VolumeId=volume.id)["SnapshotId"]
    write(volume.device, b"after!")
    copy = ec2.create_volume(SnapshotId=snapshot, AvailabilityZone=ZONE)["VolumeId"]
    restored = region.attach(host.instance_id, copy, "/dev/sdz")
    assert read(restored.device, 6) == b"before"
    assert read(volume.device, 6) == b"after!"
    write(restored.device, b"drill!")
    assert read(volume.device, 6) == b"after!"


def test_latency_comes_after_the_copy(region: Region, host: Host) -> None:
    """An injected latency delays the answer, and a DryRun's too; the instant stays the call's."""
    region.control_ec2(latency_ms=300)
    ec2, volume = region.client("ec2"), host.volumes[0]
    began = time.monotonic()
    assert refusal(ec2.create_snapshot, VolumeId=volume.id, DryRun=True) == "DryRunOperation"
    assert time.monotonic() - began >= 0.3
    began_ns = time.monotonic_ns()
    snapshot = ec2.create_snapshot(VolumeId=volume.id)["SnapshotId"]
    copied_ns = region.copied_ns(snapshot)[1] - began_ns
    answered_ns = time.monotonic_ns() - began_ns
    assert answered_ns >= 300_000_000
    assert 0 < copied_ns < answered_ns - 300_000_000


def test_a_dry_run_makes_nothing(region: Region, host: Host) -> None:
    """DryRun answers as EC2 does and leaves no snapshot, for one volume and for a set."""
    ec2 = region.client("ec2")
    mine = [{"Name": "volume-id", "Values": [volume.id for volume in host.volumes]}]
    refused = refusal(
        ec2.create_snapshots, DryRun=True, InstanceSpecification={"InstanceId": host.instance_id}
    )
    assert refused == "DryRunOperation"
    assert (
        refusal(ec2.create_snapshot, VolumeId=host.volumes[0].id, DryRun=True) == "DryRunOperation"
    )
    assert ec2.describe_snapshots(Filters=mine)["Snapshots"] == []


def test_a_snapshot_is_pending_then_completed(region: Region, host: Host) -> None:
    """The call returns at once with its tags; completion comes later."""
    region.control_ec2(completion_ms=200)
    ec2 = region.client("ec2")
    tags = [{"Key": "holdstill:run-id", "Value": "a & b <c>"}, {"Key": "Name", "Value": "資料"}]
    made = ec2.create_snapshot(
        VolumeId=host.volumes[0].id,
        Description="d",
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}],
    )
    assert (made["State"], made["Tags"], made["Description"]) == ("pending", tags, "d")
    by_tag = [{"Name": "tag:holdstill:run-id", "Values": ["a & b <c>"]}]
    found = ec2.describe_snapshots(OwnerIds=["self"], Filters=by_tag)["Snapshots"]
    assert [(s["SnapshotId"], s["State"]) for s in found] == [(made["SnapshotId"], "pending")]
    time.sleep(0.25)
    found = ec2.describe_snapshots(SnapshotIds=[made["SnapshotId"]])["Snapshots"][0]
    assert (found["State"], found["Progress"]) == ("completed", "100%")


def test_a_set_takes_what_is_attached_but_the_exclusions(region: Region, host: Host) -> None:
    """CreateSnapshots leaves out the boot volume and the listed ones, and refuses foreign ones."""
    ec2, (first, second) = region.client("ec2"), host.volumes
    attached = ec2.describe_instances(InstanceIds=[host.instance_id])
    instance = attached["Reservations"][0]["Instances"][0]
    mapping = {m["DeviceName"]: m["Ebs"]["VolumeId"] for m in instance["BlockDeviceMappings"]}
    assert mapping.pop(instance["RootDeviceName"]) == host.root_volume_id
    assert set(mapping.values()) == {first.id, second.id}

    spec = {"InstanceId": host.instance_id, "ExcludeBootVolume": True}
    made = ec2.create_snapshots(InstanceSpecification=spec)["Snapshots"]
    assert {s["VolumeId"] for s in made} == {first.id, second.id}
    assert {s["State"] for s in made} == {"pending"}
    region.control_ec2(limits=False)
    made = ec2.create_snapshots(InstanceSpecification={**spec, "ExcludeDataVolumeIds": [first.id]})[
        "Snapshots"
    ]
    assert [s["VolumeId"] for s in made] == [second.id]
    spec["ExcludeDataVolumeIds"] = ["vol-ffffffff"]
    assert refusal(ec2.create_snapshots, InstanceSpecification=spec) == "InvalidParameterValue"


def test_a_volume_may_be_snapshot_again_after_15_seconds(region: Region, host: Host) -> None:
    """EC2's rate is kept per volume, and can be switched off."""
    ec2, (first, second) = once(region), host.volumes
    ec2.create_snapshot(VolumeId=first.id)
    assert (
        refusal(ec2.create_snapshot, VolumeId=first.id) == "SnapshotCreationPerVolumeRateExceeded"
    )
    ec2.create_snapshot(VolumeId=second.id)
    region.control_ec2(limits=False)
    ec2.create_snapshot(VolumeId=first.id)


def test_five_snapshots_of_a_volume_may_be_pending(region: Region, host: Host) -> None:
    """The sixth is refused until one has completed."""
    region.control_ec2(completion_ms=1500, spacing_s=0)
    ec2, volume = once(region), host.volumes[0]
    for _ in range(5):
        ec2.create_snapshot(VolumeId=volume.id)
    assert refusal(ec2.create_snapshot, VolumeId=volume.id) == "ConcurrentSnapshotLimitExceeded"
    time.sleep(1.5)
    ec2.create_snapshot(VolumeId=volume.id)


@pytest.mark.parametrize(
    ("fault", "code", "made"),
    [
        ("throttle", "RequestLimitExceeded", 0),
        ("error", "InternalError", 0),
        ("error-after", "InternalError", 1),
    ],
)
def test_a_fault_hits_once_and_says_what_it_made(
    region: Region, host: Host, fault: str, code: str, made: int
) -> None:
    """Each fault answers with its error, with or without a snapshot behind it; then all is well."""
    ec2, volume = once(region), host.volumes[0]
    mine = [{"Name": "volume-id", "Values": [volume.id]}]
    region.control_ec2(fault=fault, limits=False)
    assert refusal(ec2.create_snapshot, VolumeId=volume.id, DryRun=True) == "DryRunOperation"
    assert refusal(ec2.create_snapshot, VolumeId=volume.id) == code
    assert len(ec2.describe_snapshots(Filters=mine)["Snapshots"]) == made
    ec2.create_snapshot(VolumeId=volume.id)


@pytest.mark.parametrize(("fault", "made"), [("hang", 0), ("hang-after", 1)])
def test_a_hang_lasts_until_the_caller_gives_up(
    region: Region, host: Host, fault: str, made: int
) -> None:
    """A call without an answer blocks nobody else."""
    region.control_ec2(fault=fault)
    with pytest.raises(ReadTimeoutError):
        once(region, read_timeout=0.5).create_snapshot(VolumeId=host.volumes[0].id)
    mine = [{"Name": "volume-id", "Values": [host.volumes[0].id]}]
    assert len(region.client("ec2").describe_snapshots(Filters=mine)["Snapshots"]) == made


def test_what_is_deleted_is_gone(region: Region, host: Host) -> None:
    """Detach frees the device; deleting volume and snapshot frees their room."""
    ec2, volume = region.client("ec2"), host.volumes[1]
    snapshot = ec2.create_snapshot(VolumeId=volume.id)["SnapshotId"]
    assert refusal(ec2.delete_volume, VolumeId=volume.id) == "VolumeInUse"
    ec2.detach_volume(VolumeId=volume.id)
    with pytest.raises(KeyError):
        region.device(volume.id)
    ec2.delete_volume(VolumeId=volume.id)
    ec2.delete_snapshot(SnapshotId=snapshot)
    left = [
        path
        for path in (region.workdir / "region").rglob("*")
        if volume.id in path.name or snapshot in path.name
    ]
    assert left == []


def test_copies_can_be_dropped_for_the_benchmark(region: Region, host: Host) -> None:
    """The copy is made, then dropped; whoever wants it is told, the volume is as it was."""
    region.control_ec2(keep_copies=False)
    ec2, volume = region.client("ec2"), host.volumes[0]
    write(volume.device, b"kept")
    snapshot = ec2.create_snapshot(VolumeId=volume.id)["SnapshotId"]
    assert region.copied_ns(snapshot)[0] > 0
    code = refusal(ec2.create_volume, SnapshotId=snapshot, AvailabilityZone=ZONE)
    assert code == "InvalidSnapshot.NotFound"
    assert read(volume.device, 4) == b"kept"


def test_a_prefilled_disk_is_wholly_written(region: Region) -> None:
    """The benchmark's disk has all its blocks, so that a copy shares few and long extents."""
    volume = region.add_host([1], prefill=True).volumes[0]
    image = region.workdir / "region" / "volumes" / f"{volume.id}.img"
    assert image.stat().st_blocks * 512 >= 1 << 30
    assert read(volume.device, 4, at=(1 << 30) - 4) == b"\0\0\0\0"


def test_an_unknown_setting_is_refused(region: Region) -> None:
    """A misspelt fault must not make a fault test pass."""
    with pytest.raises(OSError, match="400"):
        region.control_ec2(fault="trottle")
    with pytest.raises(OSError, match="400"):
        region.control_ec2(latency=1)
