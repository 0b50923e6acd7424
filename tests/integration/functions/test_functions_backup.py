"""The backup handler itself, on the emulator's queues and table and the lab's EC2."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from functions import backup, sweep
from functions.adapters import clients
from functions.domain.errors import RequestError, RunFailedError
from infra import permissions
from tests.twins.host import TwinHost
from tests.twins.relay import RealClock, relayed
from tests.twins.trace import Trace
from tests.twins.world import event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.permissions import Statement
    from lab.region import Host, Region

pytestmark = pytest.mark.emulator

KEY = {"pk": {"S": "TARGET#recipes-db"}, "sk": {"S": "RUN#2026-11-25T18:00:00Z"}}


@dataclass
class Context:
    """What Lambda tells of an invocation."""

    left_s: float = 900
    function_name: str = "holdstill-01-backup"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:ap-northeast-1:000000000000:function:backup"
    aws_request_id: str = "9d4f0f1e"

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left of the function's time."""
        return round(self.left_s * 1000)


CONTEXT: Any = Context()


@dataclass
class Target:
    """A target in the Region, and its agent."""

    region: Region
    host: Host
    agent: TwinHost
    commands_url: str
    replies_url: str

    def back_up(self, **changes: object) -> None:
        """Invoke the handler as its schedule does."""
        written = event(
            instance=self.host.instance_id,
            commands_url=self.commands_url,
            replies_url=self.replies_url,
            **changes,
        )
        backup.handler(written, CONTEXT)

    def leave_dead_run(self) -> None:
        """Leave a run open whose deadline has passed."""
        row = {"target": "recipes-db", "run": "recipes-db.20261125T180000Z", "token": "dead"}
        row |= {"scheduled_at": "2026-11-25T18:00:00Z", "state": "open"}
        row |= {"open_pk": "OPEN", "open_sk": "2026-01-01T00:00:00Z"}
        written = KEY | {name: {"S": value} for name, value in row.items()}
        self.region.client("dynamodb").put_item(TableName="holdstill", Item=written)

    @property
    def record(self) -> dict[str, Any]:
        """The run's row."""
        row: dict[str, Any] = self.region.client("dynamodb").get_item(
            TableName="holdstill", Key=KEY
        )["Item"]
        return row

    @property
    def verdicts(self) -> list[str]:
        """The verdict tags of the database volume's snapshots, the oldest first."""
        volume = {"Name": "volume-id", "Values": [self.host.volumes[0].id]}
        described = self.region.client("ec2").describe_snapshots(Filters=[volume])["Snapshots"]
        return [
            tag["Value"]
            for made in sorted(described, key=lambda made: made["StartTime"])
            for tag in made["Tags"]
            if tag["Key"] == "holdstill:verdict"
        ]


@pytest.fixture
def target(region: Region, table: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """Return a target whose agent listens; the handlers have the environment of the stacks."""
    environment = region.environment | {
        "HOLDSTILL_TABLE": table,
        "HOLDSTILL_SNAPSHOT_TIMEOUT_S": "2",
        "POWERTOOLS_SERVICE_NAME": "holdstill-backup",
        "POWERTOOLS_METRICS_NAMESPACE": "Holdstill",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    forget()
    sqs = region.client("sqs")
    commands_url = sqs.create_queue(QueueName="commands")["QueueUrl"]
    replies_url = sqs.create_queue(QueueName="replies")["QueueUrl"]
    host = region.add_host([1])
    agent = TwinHost(RealClock(), Trace(), volumes=(host.volumes[0].id,))
    with relayed(agent, sqs, commands_url, replies_url):
        yield Target(region, host, agent, commands_url, replies_url)
    forget()


def forget() -> None:
    """Forget clients and settings of another Region: the handlers keep them for good."""
    for kept in (
        clients.ec2,
        clients.ec2_once,
        clients.dynamodb,
        clients.commands,
        clients.replies,
    ):
        kept.cache_clear()
    clients._session.cache_clear()
    backup._settings.cache_clear()
    sweep._settings.cache_clear()


def test_a_schedule_makes_a_consistent_snapshot_and_its_record(
    target: Target, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Over real queues, on a real table, with the metrics that the alarms watch."""
    target.back_up()
    assert target.verdicts == ["consistent"]
    assert target.record["state"] == {"S": "succeeded"}
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {name for line in metrics for name in line} >= {
        "LockWait",
        "FreezeWindow",
        "Held",
        "SnapshotApiTime",
        "RunsConsistent",
    }
    assert {(line["target"], line["service"]) for line in metrics} == {
        ("recipes-db", "holdstill-backup")
    }
    steps = ["run-begun", "prepared", "frozen", "thawed", "run-succeeded"]
    assert [told.message for told in caplog.records if told.message in steps] == steps


def test_the_same_schedule_again_makes_nothing(target: Target) -> None:
    """Scheduler and Lambda both may deliver twice."""
    target.back_up()
    target.back_up()
    assert target.verdicts == ["consistent"]


def test_an_unanswered_call_is_reconciled_and_another_attempt_mends_the_run(
    target: Target,
) -> None:
    """The first snapshot is found by its tag and named; the second is consistent."""
    target.region.control_ec2(fault="hang-after")
    target.back_up()
    assert target.verdicts == ["crash-consistent", "consistent"]


def test_a_crash_consistent_run_is_an_error_of_the_invocation(target: Target) -> None:
    """Lambda's own error metric and the on-failure queue see it."""
    target.agent.intact = False
    with pytest.raises(RunFailedError, match="not-intact"):
        target.back_up(attempts=1)
    assert target.verdicts == ["crash-consistent"]
    assert target.record["state"] == {"S": "failed"}


def test_a_request_that_cannot_be_obeyed_does_nothing(target: Target) -> None:
    """It is refused before anything is written or sent."""
    with pytest.raises(RequestError):
        target.back_up(scheduled_at="<aws.scheduler.scheduled-time>")
    assert target.agent.frozen_count == 0


def test_the_sweep_ends_a_run_whose_conductor_died(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    """It reads the index, ends the run, and counts it."""
    target.leave_dead_run()
    sweep.handler({}, CONTEXT)
    assert target.record["state"] == {"S": "abandoned"}
    assert "open_pk" not in target.record
    assert '"RunsAbandoned":[1.0]' in capsys.readouterr().out


def test_the_backup_role_is_granted_what_a_run_asks_for_and_nothing_else(target: Target) -> None:
    """A run of one volume and a run of two call AWS in every way that there is."""
    asked = asked_for()
    target.back_up()
    target.host = target.region.add_host([1, 1])
    target.agent.volumes = tuple(volume.id for volume in target.host.volumes)
    target.back_up(scheduled_at="2026-11-25T19:00:00Z")
    assert asked == granted(permissions.conduct(fleet=18))


def test_the_sweep_role_is_granted_what_a_sweep_asks_for_and_nothing_else(target: Target) -> None:
    """To end a dead run it looks for the run, its lease and its snapshots."""
    target.leave_dead_run()
    asked = asked_for()
    sweep.handler({}, CONTEXT)
    assert asked == granted(permissions.sweep())


def asked_for() -> set[str]:
    """Return the IAM actions of the handlers' calls, to which each call from now on is added.

    A batch is authorised as what it is a batch of.
    """
    actions: set[str] = set()

    def note(**call: Any) -> None:
        _, service, operation = call["event_name"].split(".")
        actions.add(f"{service}:{operation.removesuffix('Batch')}")

    forget()  # a client keeps the listeners that its session had
    clients._session().register("before-call", note)
    return actions


def granted(statements: list[Statement]) -> set[str]:
    """Return what a role may do, less the tags that EC2 itself writes within another call."""
    return {
        action
        for statement in statements
        if "ec2:CreateAction" not in statement.get("Condition", {}).get("StringEquals", {})
        for action in statement["Action"]
    }
