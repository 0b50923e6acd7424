"""The snapshot call of one attempt, built and warmed before anything is held."""

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from functions.adapters.unanswered import UNANSWERED
from functions.domain import tags
from functions.domain.errors import PlanRefusedError, SnapshotRefusedError, SnapshotUnknownError
from functions.domain.volumes import Coverage
from holdstill_protocol.conductor_model import Snapshot
from holdstill_protocol.messages import Position

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import TagSpecificationTypeDef

_SERVER_ERROR: Final = 500
_THROTTLED: Final = frozenset({"RequestLimitExceeded", "Throttling", "ThrottlingException"})
"""EC2 answers these with 503, and has done nothing."""

_NO_POSITION: Final = "none:0"


@dataclass(frozen=True, slots=True)
class Ec2Window:
    """CreateSnapshot for one volume; CreateSnapshots, one instant for all, for several."""

    client: "EC2Client"
    coverage: Coverage
    tags: Mapping[str, str]

    def snapshot(self, position: Position | None) -> tuple[Snapshot, ...]:
        """Make the one call; raise SnapshotRefusedError or SnapshotUnknownError."""
        try:
            return self._call(tags.position(position))
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", _SERVER_ERROR)
            code = error.response.get("Error", {}).get("Code", "")
            if status < _SERVER_ERROR or code in _THROTTLED:
                raise SnapshotRefusedError(str(error)) from error
            raise SnapshotUnknownError(str(error)) from error
        except UNANSWERED as error:
            raise SnapshotUnknownError(str(error)) from error

    def warm(self) -> None:
        """Dry-run the very call, which opens the connection; raise PlanRefusedError.

        Then put the heap aside: a full collection of what boto3 leaves takes 40 ms, and would
        come at any time.
        """
        try:
            self._call(_NO_POSITION, dry=True)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code != "DryRunOperation":
                raise PlanRefusedError(self._refusal(code, error)) from error
        except UNANSWERED as error:
            raise PlanRefusedError(f"the dry run of the snapshot call failed: {error}") from error
        else:
            raise PlanRefusedError("the EC2 endpoint took a dry run for a call: it is not EC2")
        gc.collect()
        gc.freeze()

    def _call(self, position: str | None, *, dry: bool = False) -> tuple[Snapshot, ...]:
        written = self.tags if position is None else {**self.tags, tags.POSITION: position}
        specification: list[TagSpecificationTypeDef] = [
            {
                "ResourceType": "snapshot",
                "Tags": [{"Key": key, "Value": value} for key, value in written.items()],
            }
        ]
        if len(self.coverage.volumes) == 1:
            (volume,) = self.coverage.volumes
            one = self.client.create_snapshot(
                VolumeId=volume, TagSpecifications=specification, DryRun=dry
            )
            return (Snapshot(one["SnapshotId"], one["VolumeId"]),)
        several = self.client.create_snapshots(
            InstanceSpecification={
                "InstanceId": self.coverage.instance,
                "ExcludeBootVolume": self.coverage.exclude_boot,
                "ExcludeDataVolumeIds": list(self.coverage.excluded),
            },
            TagSpecifications=specification,
            DryRun=dry,
        )
        return tuple(
            Snapshot(made["SnapshotId"], made["VolumeId"]) for made in several["Snapshots"]
        )

    def _refusal(self, code: str, error: ClientError) -> str:
        if code != "UnauthorizedOperation":
            return f"EC2 would refuse the snapshot call: {error}"
        action = "CreateSnapshot" if len(self.coverage.volumes) == 1 else "CreateSnapshots"
        volumes = ", ".join(self.coverage.volumes)
        return (
            f"the backup role may not call ec2:{action} on {volumes}, or ec2:CreateTags within it:"
            f" {error}"
        )
