"""All the twins together, and runs in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from functions.domain.requests import BackupRequest
from functions.domain.volumes import AttachedVolume
from functions.ports import World
from functions.run import Run
from tests.twins.clock import EPOCH, TwinClock
from tests.twins.ec2 import TwinEc2
from tests.twins.host import TwinHost
from tests.twins.table import TwinLeases, TwinRuns
from tests.twins.trace import Trace, TwinLog, TwinMeasures

DATABASE = AttachedVolume("vol-db", "gp3", boot=False)
BOOT = AttachedVolume("vol-boot", "gp3", boot=True)
OTHER = AttachedVolume("vol-other", "gp3", boot=False)


def request(**changes: object) -> BackupRequest:
    """Return the request of an ordinary schedule, but for `changes`."""
    return BackupRequest.from_event(event(**changes))


def event(**changes: object) -> Mapping[str, object]:
    """Return the input of an ordinary schedule, but for `changes`."""
    ordinary = {
        "v": 1,
        "target": "recipes-db",
        "scheduled_at": EPOCH.isoformat(),
        "instance": "i-0123456789abcdef0",
        "commands_url": "https://sqs.example/1/commands",
        "replies_url": "https://sqs.example/1/replies",
        "attempts": 3,
        "patience_s": 60,
    }
    return ordinary | changes


@dataclass
class TwinWorld:
    """A conductor's world; the parts are changed before `back_up`, and looked at after."""

    trace: Trace = field(default_factory=Trace)
    clock: TwinClock = field(default_factory=TwinClock)
    measures: TwinMeasures = field(default_factory=TwinMeasures)
    log: TwinLog = field(init=False)
    host: TwinHost = field(init=False)
    ec2: TwinEc2 = field(init=False)
    runs: TwinRuns = field(init=False)
    leases: TwinLeases = field(init=False)

    def __post_init__(self) -> None:
        self.log = TwinLog(self.trace)
        self.host = TwinHost(self.clock, self.trace)
        self.ec2 = TwinEc2(self.clock, self.trace, [BOOT, DATABASE, OTHER])
        self.runs = TwinRuns(self.trace)
        self.leases = TwinLeases(self.trace)

    def back_up(self, *, invocation: str = "one", left_s: float = 900, **changes: object) -> None:
        """Run a backup; what it raises is the test's to expect."""
        world = World(
            clock=self.clock,
            log=self.log,
            queues=self.host,
            ec2=self.ec2,
            runs=self.runs,
            leases=self.leases,
            measures=self.measures,
        )
        self.ec2.held_run = self.host.held_run
        ends_at_ms = self.clock.now_ms + round(left_s * 1000)
        Run(world, request(**changes), invocation, 8, ends_at_ms).back_up()

    def lend(self, owner: str, *, for_s: float) -> None:
        """Let another run have the target's lease."""
        expires_at = self.clock.wall() + timedelta(seconds=for_s)
        assert self.leases.take("recipes-db", owner, self.clock.wall(), expires_at)

    @property
    def record(self) -> dict[str, object]:
        """The one run's record."""
        (row,) = self.runs.rows.values()
        return row

    @property
    def verdict_tags(self) -> list[str]:
        """The verdict tags of all snapshots, in the order of their making."""
        return [made.tags["holdstill:verdict"] for made in self.ec2.made]
