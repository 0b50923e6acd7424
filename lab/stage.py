"""The whole of Holdstill on one machine: a Region with the deployed template, and a host in it.

The demo, the benchmark and the end-to-end tests play on it.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from lab.deploy import ROOT, Cdk
from lab.errors import LabError
from lab.host import AgentConfig, Child, DatabaseHost, FallbackHost, LabHost, Moment, install_agent
from lab.region import ZONE, AttachedVolume, Host, Region
from lab.site import Site
from lab.temporary import Temporary

TARGET = "recipes-db"
TABLE = "holdstill"
AGENT_READY_WITHIN_S = 20.0
RUN_WITHIN_S = 120.0

_CONFIG = """\
[policies.demo]
schedule = "cron(0 3 * * ? *)"
timezone = "Asia/Tokyo"
attempts = {attempts}
max_age_hours = 26
keep = {{ daily = 7 }}

[targets.{target}]
instance = "{instance}"
policy = "demo"
"""


@dataclass(frozen=True, slots=True)
class Protection:
    """What the deployed stack says of the target."""

    commands_url: str
    replies_url: str
    function: str
    schedule: str


class Stage(Temporary):
    """Region, deployment, database host and agent, as a context manager that leaves nothing.

    `say` hears of each step as it begins. `prefill` writes the whole volume first, so that its
    copies cost the same all along. Without `load` only the probes write. With `site` there is a
    bucket with its distribution too, in the same deployment; it puts objects into the bucket before
    anybody is told of them. `agent` changes what stands in agent.toml.
    """

    region: Region
    site: Site
    instance: Host
    host: LabHost
    protection: Protection
    agent: Child

    def __init__(
        self,
        workdir: Path,
        *,
        say: Callable[[str], None] = lambda _: None,
        real_disks: bool | None = None,
        volume_gib: int = 1,
        attempts: int = 1,
        prefill: bool = False,
        load: bool = True,
        site: Callable[[Site], None] | None = None,
        **agent: Any,
    ) -> None:
        super().__init__()
        self._workdir = workdir
        self._say = say
        self._real_disks = real_disks
        self._volume_gib = volume_gib
        self._attempts = attempts
        self._prefill = prefill
        self._load = load
        self._fill_site = site
        self._agent_changes = agent

    def _build(self) -> None:
        self._say("starting the Region: emulator, EC2 endpoint, disks")
        self.region = self._undo.enter_context(Region(self._workdir, real_disks=self._real_disks))
        self.instance = self.region.add_host([self._volume_gib], prefill=self._prefill)
        if self._fill_site:
            self.site = Site(self.region)
            self._fill_site(self.site)
        self._say("deploying the template with `cdk deploy`")
        self.protection = self._deploy()
        devices = [volume.device for volume in self.instance.volumes]
        kind = FallbackHost if self.region.not_real else DatabaseHost
        self._say("starting the database host")
        self.host = self._undo.enter_context(kind(devices))
        if self._load:
            self.host.start_load()
        self.host.start_probes()
        self._say("installing and starting the agent")
        self.start_agent()

    def _deploy(self) -> Protection:
        config = self._workdir / "holdstill.toml"
        text = _CONFIG.format(
            target=TARGET, instance=self.instance.instance_id, attempts=self._attempts
        )
        config.write_text(text + (self.site.configuration if self._fill_site else ""))
        cdk = Cdk(self.region, config=config)
        cdk.bootstrap()
        outputs = cdk.deploy()
        for values in outputs.values():
            for text in values.values():
                if text.startswith("{") and (found := json.loads(text)).get("target") == TARGET:
                    return self._protection(found["commands_url"], found["replies_url"])
        raise LabError(f"no output of the stacks is about {TARGET}: {outputs}")

    def _protection(self, commands_url: str, replies_url: str) -> Protection:
        scheduler = self.region.client("scheduler")
        (name,) = (
            schedule["Name"]
            for schedule in scheduler.list_schedules()["Schedules"]
            if schedule["Name"].endswith(f"-{TARGET}")
        )
        function = self._schedule(name)["Target"]["Arn"].rpartition(":")[2]
        return Protection(commands_url, replies_url, function, name)

    def start_agent(self, **changes: Any) -> None:
        """Start the shipped agent, from its own installation; `changes` as in `Stage(agent…)`."""
        config = AgentConfig(TARGET, self.protection.commands_url, self.protection.replies_url)
        config = replace(config, **{**self._agent_changes, **changes})
        self.agent_log.unlink(missing_ok=True)
        path = self.host.write_agent_config(config, [[v.id] for v in self.instance.volumes])
        python = install_agent(ROOT / "build")
        self.agent = self.host.start_agent(python, path, self.region.environment)
        self.agent.wait_until(self._agent_started, within_s=AGENT_READY_WITHIN_S)

    def restart_agent(self, **changes: Any) -> None:
        """Stop the agent and start it with `changes`; without any, as it was."""
        self.agent.stop()
        self.start_agent(**changes)

    def _agent_started(self) -> bool:
        return '"event": "started"' in self.agent_log.read_text()

    @property
    def agent_log(self) -> Path:
        """The agent's log: a JSON object a line."""
        return self.host.places.run_dir / "agent.log"

    # --- runs

    def fire(self, in_s: float = 2.0) -> datetime:
        """Let the deployed schedule fire once, `in_s` from now; return its scheduled time."""
        at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=in_s)
        schedule = self._schedule(self.protection.schedule)
        keep = ("Name", "GroupName", "Target", "FlexibleTimeWindow", "State")
        self.region.client("scheduler").update_schedule(
            ScheduleExpression=f"at({at:%Y-%m-%dT%H:%M:%S})",
            ScheduleExpressionTimezone="UTC",
            **{name: schedule[name] for name in keep if name in schedule},
        )
        return at

    def invoke(self, scheduled_at: datetime) -> Mapping[str, Any]:
        """Invoke the backup function as the schedule does; return its run's record at the end."""
        event = json.loads(self._schedule(self.protection.schedule)["Target"]["Input"])
        event["scheduled_at"] = f"{scheduled_at:%Y-%m-%dT%H:%M:%SZ}"
        self.region.client(
            "lambda", read_timeout=RUN_WITHIN_S, retries={"total_max_attempts": 1}
        ).invoke(FunctionName=self.protection.function, Payload=json.dumps(event).encode())
        return self.wait_for_run(scheduled_at, within_s=5)

    def run_record(self, scheduled_at: datetime) -> Mapping[str, Any] | None:
        """Return the record of a run; None before it began."""
        key = {
            "pk": {"S": f"TARGET#{TARGET}"},
            "sk": {"S": f"RUN#{scheduled_at:%Y-%m-%dT%H:%M:%SZ}"},
        }
        item = self.region.client("dynamodb").get_item(TableName=TABLE, Key=key).get("Item")
        if item is None:
            return None
        read = TypeDeserializer().deserialize
        return {name: read(value) for name, value in item.items()}

    def wait_for_run(
        self, scheduled_at: datetime, within_s: float = RUN_WITHIN_S
    ) -> Mapping[str, Any]:
        """Return a run's record once it has ended. Raise LabError when it does not in time."""
        give_up_at = time.monotonic() + within_s
        while time.monotonic() < give_up_at:
            record = self.run_record(scheduled_at)
            if record is not None and record["state"] != "open":
                return record
            time.sleep(0.1)
        raise LabError(f"the run of {scheduled_at:%H:%M:%S} did not end within {within_s:g} s")

    # --- snapshots

    def snapshot_ids(self, record: Mapping[str, Any]) -> list[str]:
        """Return the snapshots of a run's last attempt."""
        snapshots = record["attempts"][-1].get("snapshots", []) if record["attempts"] else []
        return [snapshot["snapshot_id"] for snapshot in snapshots]

    def tags(self, snapshot_id: str) -> dict[str, str]:
        """Return a snapshot's tags."""
        ec2 = self.region.client("ec2")
        (snapshot,) = ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
        return {tag["Key"]: tag["Value"] for tag in snapshot["Tags"]}

    @contextmanager
    def restored(self, snapshot_ids: list[str]) -> Iterator[list[Path]]:
        """Make volumes from snapshots, attach them, say where they are; delete them afterwards."""
        ec2 = self.region.client("ec2")
        attached: list[AttachedVolume] = []
        try:
            for snapshot_id, letter in zip(snapshot_ids, "stuvwxyz", strict=False):
                volume = ec2.create_volume(SnapshotId=snapshot_id, AvailabilityZone=ZONE)
                attached.append(
                    self.region.attach(
                        self.instance.instance_id, volume["VolumeId"], f"/dev/sd{letter}"
                    )
                )
            yield [volume.device for volume in attached]
        finally:
            for volume in attached:
                ec2.detach_volume(VolumeId=volume.id)
                ec2.delete_volume(VolumeId=volume.id)

    def moment(self, snapshot_id: str) -> Moment:
        """Return when a snapshot's copy was made, on this machine's monotonic clock."""
        begun_ns, ended_ns = self.region.copied_ns(snapshot_id)
        return Moment(begun_ns, ended_ns)

    def _schedule(self, name: str) -> Mapping[str, Any]:
        schedule: Mapping[str, Any] = self.region.client("scheduler").get_schedule(Name=name)
        return schedule
