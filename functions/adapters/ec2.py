"""EC2 outside the freeze window: what is attached, what was made, the verdict's tag."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from functions.adapters.unanswered import UNANSWERED
from functions.adapters.window import Ec2Window
from functions.domain import tags
from functions.domain.errors import Ec2Error, SnapshotNotListedError
from functions.domain.verdict import Verdict
from functions.domain.volumes import AttachedVolume, Coverage, PastSnapshot
from functions.ports import Window
from holdstill_protocol.conductor_model import Snapshot

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


@dataclass(frozen=True, slots=True)
class Ec2:
    """`client` asks what comes before a call, `after_client` what has become of it.

    `window_client` makes the call's own, which asks once, within so many seconds: the timeout
    follows from the host's freeze budget, so each attempt has another.
    """

    client: "EC2Client"
    after_client: "EC2Client"
    window_client: "Callable[[float], EC2Client]"

    def attached(self, instance: str) -> Sequence[AttachedVolume]:
        """Return the volumes attached to an instance; raise Ec2Error."""
        with _raised():
            boot = self._boot_device(instance)
            pages = self.client.get_paginator("describe_volumes").paginate(
                Filters=[{"Name": "attachment.instance-id", "Values": [instance]}]
            )
            return [
                AttachedVolume(
                    volume["VolumeId"], volume["VolumeType"], attachment["Device"] == boot
                )
                for page in pages
                for volume in page["Volumes"]
                for attachment in volume["Attachments"]
                if attachment["InstanceId"] == instance and attachment["State"] == "attached"
            ]

    def _boot_device(self, instance: str) -> str | None:
        answer = self.client.describe_instances(InstanceIds=[instance])
        for reservation in answer["Reservations"]:
            for found in reservation["Instances"]:
                return found.get("RootDeviceName")
        return None

    def past_snapshots(self, volumes: Sequence[str]) -> Sequence[PastSnapshot]:
        """Return the snapshots that there are of the volumes; raise Ec2Error."""
        with _raised():
            pages = self.client.get_paginator("describe_snapshots").paginate(
                OwnerIds=["self"], Filters=[{"Name": "volume-id", "Values": list(volumes)}]
            )
            return [
                PastSnapshot(made["VolumeId"], made["StartTime"], made["State"] == "pending")
                for page in pages
                for made in page["Snapshots"]
            ]

    def open_window(self, coverage: Coverage, tags: Mapping[str, str], timeout_s: float) -> Window:
        """Return the warm snapshot call; raise PlanRefusedError."""
        window = Ec2Window(self.window_client(timeout_s), coverage, tags)
        window.warm()
        return window

    def snapshots_of(self, run_ids: str) -> tuple[Snapshot, ...]:
        """Return the snapshots tagged with a run id; `*` is any characters. Raise Ec2Error."""
        with _raised():
            pages = self.after_client.get_paginator("describe_snapshots").paginate(
                OwnerIds=["self"], Filters=[{"Name": f"tag:{tags.RUN_ID}", "Values": [run_ids]}]
            )
            return tuple(
                Snapshot(made["SnapshotId"], made["VolumeId"])
                for page in pages
                for made in page["Snapshots"]
            )

    def tag_verdict(self, snapshots: Sequence[Snapshot], verdict: Verdict) -> None:
        """Set the verdict tag; raise SnapshotNotListedError, Ec2Error."""
        with _raised():
            self.after_client.create_tags(
                Resources=[snapshot.snapshot_id for snapshot in snapshots],
                Tags=[{"Key": tags.VERDICT, "Value": verdict}],
            )


@contextmanager
def _raised() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "InvalidSnapshot.NotFound":
            raise SnapshotNotListedError(str(error)) from error
        raise Ec2Error(str(error)) from error
    except UNANSWERED as error:
        raise Ec2Error(str(error)) from error
