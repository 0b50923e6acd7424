"""The EC2 adapter on the lab's EC2: what it asks, and how it takes each kind of answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from functions.adapters.ec2 import Ec2
from functions.domain import tags
from functions.domain.errors import (
    PlanRefusedError,
    SnapshotNotListedError,
    SnapshotRefusedError,
    SnapshotUnknownError,
)
from functions.domain.verdict import Verdict
from functions.domain.volumes import Coverage, cover
from holdstill_protocol.conductor_model import Snapshot
from tests.twins.host import POSITION
from tests.twins.world import request

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from functions.ports import Window
    from lab.region import Host, Region

pytestmark = pytest.mark.emulator

RUN = "recipes-db.20261125T180000Z.1"
TIMEOUT_S = 1.0


@pytest.fixture
def host(region: Region) -> Host:
    """Return an instance with a boot volume and two data volumes."""
    return region.add_host([1, 1])


@pytest.fixture
def ec2(region: Region) -> Ec2:
    """Return the adapter, its window one attempt long as `clients.window` makes it."""

    def once(timeout_s: float) -> EC2Client:
        client: EC2Client = region.client(
            "ec2", read_timeout=timeout_s, retries={"total_max_attempts": 1}
        )
        return client

    return Ec2(region.client("ec2"), region.client("ec2"), once)


def open_window(ec2: Ec2, host: Host, *volumes: str) -> Window:
    """Return a warm window on the volumes."""
    coverage = cover(host.instance_id, volumes, ec2.attached(host.instance_id))
    return ec2.open_window(coverage, tags.at_creation(request(), RUN), TIMEOUT_S)


def test_the_boot_volume_is_known_from_the_others(ec2: Ec2, host: Host) -> None:
    """It is excluded in a way of its own."""
    attached = {volume.volume_id: volume.boot for volume in ec2.attached(host.instance_id)}
    assert attached == {
        host.root_volume_id: True,
        host.volumes[0].id: False,
        host.volumes[1].id: False,
    }


def test_a_dry_run_makes_nothing(ec2: Ec2, host: Host) -> None:
    """The window is warm, and no snapshot exists."""
    open_window(ec2, host, host.volumes[0].id)
    assert ec2.past_snapshots([host.volumes[0].id]) == []


def test_one_volume_is_snapshotted_with_its_tags_from_the_first_instant(
    region: Region, ec2: Ec2, host: Host
) -> None:
    """Run, target, position and `unproven` are there although nobody tagged anything after."""
    region.control_ec2(completion_ms=60_000)
    (made,) = open_window(ec2, host, host.volumes[0].id).snapshot(POSITION)
    assert made.volume_id == host.volumes[0].id
    described = region.client("ec2").describe_snapshots(SnapshotIds=[made.snapshot_id])
    written = {tag["Key"]: tag["Value"] for tag in described["Snapshots"][0]["Tags"]}
    assert written == {
        **tags.at_creation(request(), RUN),
        "holdstill:position": "mysql-bin.000007:4711",
    }
    (past,) = ec2.past_snapshots([host.volumes[0].id])
    assert past.pending


def test_several_volumes_are_snapshotted_at_once_and_no_other(ec2: Ec2, host: Host) -> None:
    """CreateSnapshots of the instance less its boot volume is exactly the data volumes."""
    volumes = [volume.id for volume in host.volumes]
    made = open_window(ec2, host, *volumes).snapshot(None)
    assert sorted(snapshot.volume_id for snapshot in made) == sorted(volumes)
    assert set(made) <= set(ec2.snapshots_of("recipes-db.20261125T180000Z.*"))


def test_the_verdict_changes_one_tag(region: Region, ec2: Ec2, host: Host) -> None:
    """All else that a snapshot was born with stays."""
    made = open_window(ec2, host, host.volumes[0].id).snapshot(POSITION)
    ec2.tag_verdict(made, Verdict.CONSISTENT)
    described = region.client("ec2").describe_snapshots(SnapshotIds=[made[0].snapshot_id])
    written = {tag["Key"]: tag["Value"] for tag in described["Snapshots"][0]["Tags"]}
    assert written["holdstill:verdict"] == "consistent"
    assert written["holdstill:run-id"] == RUN


def test_a_snapshot_that_ec2_does_not_know_is_told_apart(ec2: Ec2, host: Host) -> None:
    """It may be listed later, which no other error promises."""
    unknown = Snapshot("snap-0123456789abcdef0", host.volumes[0].id)
    with pytest.raises(SnapshotNotListedError):
        ec2.tag_verdict([unknown], Verdict.CONSISTENT)


def test_a_volume_that_does_not_exist_is_refused_by_the_dry_run(ec2: Ec2, host: Host) -> None:
    """What EC2 would refuse is found before anything is held."""
    coverage = Coverage(host.instance_id, ("vol-0123456789abcdef0",), True, ())
    with pytest.raises(PlanRefusedError, match=r"InvalidVolume\.NotFound"):
        ec2.open_window(coverage, {}, TIMEOUT_S)


def test_a_throttled_call_made_nothing(region: Region, ec2: Ec2, host: Host) -> None:
    """EC2 says so with a 503, which else leaves the outcome unknown."""
    window = open_window(ec2, host, host.volumes[0].id)
    region.control_ec2(fault="throttle")
    with pytest.raises(SnapshotRefusedError, match="RequestLimitExceeded"):
        window.snapshot(None)


def test_a_snapshot_too_soon_is_refused(ec2: Ec2, host: Host) -> None:
    """15 s between two of one volume."""
    open_window(ec2, host, host.volumes[0].id).snapshot(None)
    with pytest.raises((SnapshotRefusedError, PlanRefusedError), match="PerVolumeRateExceeded"):
        open_window(ec2, host, host.volumes[0].id).snapshot(None)


@pytest.mark.parametrize(
    ("fault", "made"), [("error", 0), ("error-after", 1), ("hang", 0), ("hang-after", 1)]
)
def test_an_error_of_ec2s_own_or_no_answer_leaves_the_outcome_unknown(
    region: Region, ec2: Ec2, host: Host, fault: str, made: int
) -> None:
    """Whether a snapshot was made shows only its tag, and the call is not repeated."""
    window = open_window(ec2, host, host.volumes[0].id)
    region.control_ec2(fault=fault)
    began = time.monotonic()
    with pytest.raises(SnapshotUnknownError):
        window.snapshot(None)
    assert time.monotonic() - began < TIMEOUT_S + 0.5
    assert len(ec2.past_snapshots([host.volumes[0].id])) == made
