"""The cloud's side of a trial: a Region without a deployment, a conductor, and bad wires to both.

What `cdk deploy` would make stands in `lab.faults.stack`. Agent and conductor each have wires of
their own to each service, so that a fault can be one party's alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from boto3.dynamodb.types import TypeDeserializer

from infra import naming
from lab import emulator
from lab.ec2.controls import Controls
from lab.errors import LabError
from lab.faults import stack
from lab.faults.invocations import Functions, Invocation
from lab.faults.snapshots import MadeSnapshot
from lab.faults.wire import Wire
from lab.host import Moment
from lab.region import ZONE, AttachedVolume, Host, Region
from lab.temporary import Temporary

SNAPSHOT_TIMEOUT_S: Final = 1
PREPARE_PATIENCE_S: Final = 10
_FUNCTION_LEFT_S: Final = 30.0
_SWEPT_WITHIN_S: Final = 30.0
_FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)
LATER_S: Final = 240.0
"""By then a run whose conductor died is overdue, and its lease has expired (after 190 s).

No later: AWS bears a clock that is five minutes wrong, and so do the wires.
"""


@dataclass(frozen=True, slots=True)
class Wires:
    """One party's line to each service."""

    sqs: Wire
    ec2: Wire
    table: Wire

    def all(self) -> tuple[Wire, ...]:
        """Return each."""
        return self.sqs, self.ec2, self.table


class FaultyCloud(Temporary):
    """Queues, table, EC2 with real disks, a conductor, on a running Region; a context manager."""

    def __init__(self, region: Region) -> None:
        super().__init__()
        self._region = region
        self._runs: dict[str, datetime] = {}
        self._log_at: dict[str, int] = {}
        self._conductors: dict[str, Invocation] = {}
        self._last: Invocation | None = None
        self._instance: Host
        self._functions: Functions
        self.agent: Wire
        """Between the agent and SQS."""
        self.conductor: Wires
        """Between the conductor and each service."""
        self.commands_url = ""
        self.replies_url = ""

    def _build(self) -> None:
        region = self._region
        self._sqs = region.client("sqs")
        self._ec2 = region.client("ec2")
        self._table = region.client("dynamodb")
        self._log = region.workdir / "functions.log"
        self.agent = self._wire("sqs")
        self.conductor = Wires(self._wire("sqs"), self._wire("ec2"), self._wire("dynamodb"))
        environment = {
            **emulator.clean_environment(),
            **region.environment,
            **stack.FUNCTIONS["functions.backup.handler"],
            "AWS_ENDPOINT_URL": self.conductor.table.url,
            "AWS_ENDPOINT_URL_SQS": self.conductor.sqs.url,
            "AWS_ENDPOINT_URL_EC2": self.conductor.ec2.url,
        }
        self._functions = self._undo.enter_context(Functions(environment, self._log))
        self._instance = region.add_host()
        self._table.create_table(**stack.TABLE)
        self._make_queues()
        self.control_ec2(limits=False)

    def _wire(self, service: str) -> Wire:
        wire = Wire(self._region.client(service).meta.endpoint_url)
        self._undo.callback(wire.close)
        return wire

    def _make_queues(self) -> None:
        sqs = self._sqs
        dead_letters, commands, replies = stack.queues(stack.TARGET).items()
        url = sqs.create_queue(QueueName=dead_letters[0], Attributes=dead_letters[1])["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        redrive = stack.redrive(found["Attributes"]["QueueArn"])
        self.commands_url, self.replies_url = (
            sqs.create_queue(QueueName=name, Attributes={**attributes, **redrive})["QueueUrl"]
            for name, attributes in (commands, replies)
        )

    # --- what the host needs

    @property
    def environment(self) -> Mapping[str, str]:
        """What the agent's process needs to reach this Region, over its own wire."""
        return {**self._region.environment, "AWS_ENDPOINT_URL_SQS": self.agent.url}

    @property
    def volumes(self) -> Sequence[AttachedVolume]:
        """The volumes attached to the target's instance."""
        return self._instance.volumes

    # --- runs

    def begin(
        self, *, attempts: int = 1, patience_s: int = PREPARE_PATIENCE_S, ahead_s: float = 0.0
    ) -> str:
        """Invoke the conductor for a new run; return the run's name at once.

        `patience_s`: how long it waits for the prepare, also where a schedule may not say so
        little. `ahead_s`: how far its wall clock is ahead of the true one.
        """
        scheduled_at = _FIRST + timedelta(minutes=len(self._runs))
        run = f"{stack.TARGET}.{scheduled_at:%Y%m%dT%H%M%SZ}"
        event = {
            "v": 1,
            "target": stack.TARGET,
            "scheduled_at": f"{scheduled_at:%Y-%m-%dT%H:%M:%SZ}",
            "instance": self._instance.instance_id,
            "commands_url": self.commands_url,
            "replies_url": self.replies_url,
            "attempts": attempts,
            "patience_s": PREPARE_PATIENCE_S,
        }
        self._runs[run] = scheduled_at
        self._log_at[run] = self._log.stat().st_size
        timeout = {
            "HOLDSTILL_SNAPSHOT_TIMEOUT_S": str(SNAPSHOT_TIMEOUT_S),
            "LAB_PREPARE_S": str(patience_s),
        }
        self._last = self._conductors[run] = self._invoke(
            "functions.backup.handler", event, timeout, ahead_s
        )
        return run

    @property
    def conductor_pid(self) -> int:
        """The process that conducts, or was the last to."""
        return self._conducting().pid

    def kill_conductor(self) -> None:
        """Kill the process that conducts (SIGKILL)."""
        self._conducting().kill()

    def said(self, run: str) -> str:
        """Return what the functions have logged since the run began."""
        return self._log.read_bytes()[self._log_at[run] :].decode(errors="replace")

    def _conducting(self) -> Invocation:
        if self._last is None:
            raise LabError("no run has begun")
        return self._last

    def sweep(self, later_s: float = LATER_S) -> None:
        """Let the sweep look round, so much later by its clock. Raise LabError when it fails."""
        sweep = self._invoke("functions.sweep.handler", {}, {}, later_s)
        if not sweep.ended.wait(_SWEPT_WITHIN_S) or sweep.status != [0]:
            raise LabError(f"the sweep ended with {sweep.status}: see {self._log}")

    def _invoke(
        self, handler: str, event: Mapping[str, Any], changes: Mapping[str, str], ahead_s: float
    ) -> Invocation:
        return self._functions.invoke(
            handler,
            event,
            environment={**stack.FUNCTIONS[handler], **changes},
            left_s=_FUNCTION_LEFT_S,
            ahead_s=ahead_s,
        )

    def record(self, run: str) -> Mapping[str, Any] | None:
        """Return the run's record as it is now, None before it began."""
        sort_key = f"RUN#{self._runs[run]:%Y-%m-%dT%H:%M:%SZ}"
        return self._row(sort_key)

    def lease(self) -> Mapping[str, Any] | None:
        """Return the target's lease: `owner` and `expires_s`, epoch seconds; None without one."""
        return self._row("LEASE")

    def _row(self, sort_key: str) -> Mapping[str, Any] | None:
        key = {"pk": {"S": f"TARGET#{stack.TARGET}"}, "sk": {"S": sort_key}}
        answer = self._table.get_item(TableName=naming.TABLE, Key=key, ConsistentRead=True)
        read = TypeDeserializer().deserialize
        item = answer.get("Item")
        return item and {name: read(value) for name, value in item.items()}

    def wait_ended(self, run: str, within_s: float) -> Mapping[str, Any] | None:
        """Return the record once it is no longer open, or its conductor is dead.

        Raise LabError when neither is so in time. None: the conductor died before it wrote any.
        """
        conductor = self._conductors[run]
        if not conductor.ended.wait(within_s):
            raise LabError(f"{run} did not end within {within_s:g} s: see {self._log}")
        return self.record(run)

    # --- snapshots

    def snapshots(self, run: str) -> Sequence[MadeSnapshot]:
        """Return what EC2 has for any attempt of the run, by its tag."""
        tagged = {"Name": "tag:holdstill:run-id", "Values": [f"{run}.*"]}
        made = self._ec2.describe_snapshots(OwnerIds=["self"], Filters=[tagged])["Snapshots"]
        return [self._made(snapshot) for snapshot in made]

    def _made(self, snapshot: Mapping[str, Any]) -> MadeSnapshot:
        tags = {tag["Key"]: tag["Value"] for tag in snapshot["Tags"]}
        return MadeSnapshot(
            id=snapshot["SnapshotId"],
            volume_id=snapshot["VolumeId"],
            verdict=tags["holdstill:verdict"],
            position=tags.get("holdstill:position"),
            copied=Moment(*self._region.copied_ns(snapshot["SnapshotId"])),
        )

    @contextmanager
    def copies(self, snapshots: Sequence[MadeSnapshot]) -> Iterator[Sequence[Path]]:
        """Lend volumes made from snapshots, in the order given; a check may write to them."""
        attached: list[AttachedVolume] = []
        try:
            for snapshot, letter in zip(snapshots, "stuvwxyz", strict=False):
                volume = self._ec2.create_volume(SnapshotId=snapshot.id, AvailabilityZone=ZONE)
                attached.append(
                    self._region.attach(
                        self._instance.instance_id, volume["VolumeId"], f"/dev/sd{letter}"
                    )
                )
            yield [volume.device for volume in attached]
        finally:
            for volume in attached:
                self._ec2.detach_volume(VolumeId=volume.id)
                self._ec2.delete_volume(VolumeId=volume.id)

    def control_ec2(self, **changes: Any) -> None:
        """Change the EC2 endpoint's settings (`lab.ec2.controls.Controls`)."""
        self._region.control_ec2(**changes)

    # --- between trials

    def calm(self) -> None:
        """Let every wire be transparent, and EC2 do as it should."""
        for wire in (self.agent, *self.conductor.all()):
            wire.calm()
        self.control_ec2(**{**asdict(Controls()), "limits": False})

    def reset(self) -> None:
        """Make all as before the first trial, with no conductor at work."""
        self.calm()
        for conductor in self._conductors.values():
            conductor.kill()
        for url in (self.commands_url, self.replies_url):
            self._sqs.purge_queue(QueueUrl=url)
        self.forget_snapshots()
        self._clear_table()

    def forget_snapshots(self) -> None:
        """Delete every snapshot: EC2, and so the conductor, wants 15 s between two of a volume."""
        for snapshot in self._ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
            self._ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])

    def _clear_table(self) -> None:
        """Delete the lease, and every run: one that is open would be swept with a later one."""
        for item in self._table.scan(TableName=naming.TABLE)["Items"]:
            key = {name: item[name] for name in ("pk", "sk")}
            self._table.delete_item(TableName=naming.TABLE, Key=key)
