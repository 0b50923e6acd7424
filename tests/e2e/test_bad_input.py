"""What a stranger, a bug or SQS itself may put into the queues."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lab.stage import TARGET, Stage

pytestmark = [pytest.mark.root, pytest.mark.emulator, pytest.mark.slow]

RUN = f"{TARGET}.20250101T000000Z.1"


def command(**changes: object) -> str:
    """Return a command that would be good, but for `changes`."""
    soon = datetime.now(UTC) + timedelta(seconds=30)
    good = {
        "v": 1,
        "type": "freeze",
        "run_id": RUN,
        "target": TARGET,
        "seq": 1,
        "expires_at": soon.isoformat(),
    }
    return json.dumps({**good, **changes})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (lambda: command(v=9), "unsupported-version"),
        (lambda: command(type="melt"), "unknown-type"),
        (lambda: command(target="orders-db"), "foreign-target"),
        (lambda: command(type="prepare", expires_at="2025-01-01T00:00:00Z"), "expired"),
        (lambda: command(run_id=f"{TARGET}.unprepared"), "not-prepared"),
        (lambda: "x" * 1_000_000, "malformed"),
    ],
    ids=["version", "type", "foreign", "expired", "unprepared", "noise"],
)
def test_bad_commands_change_nothing(stage: Stage, text: Callable[[], str], named: str) -> None:
    """Each is logged by its name, the writers never notice, and the agent lives on."""
    before, pid = len(stage.agent_log.read_text()), stage.agent.pid
    begun_ns = time.monotonic_ns()
    sqs = stage.region.client("sqs")
    sqs.send_message(QueueUrl=stage.protection.commands_url, MessageBody=text())
    _until(lambda: f'"code": "{named}"' in stage.agent_log.read_text()[before:])
    time.sleep(0.2)
    assert '"reply": "Frozen"' not in stage.agent_log.read_text()[before:]
    assert stage.host.probes["file"].gap_ms(begun_ns, time.monotonic_ns()) < 1_000
    assert (stage.agent.pid, stage.agent.running) == (pid, True)


def test_a_repeated_run_freezes_nothing(stage: Stage, scheduled_at: datetime) -> None:
    """The commands of a run that is over, again: named, and nothing else."""
    record = stage.invoke(scheduled_at)
    run_id = record["attempts"][0]["run_id"]
    before = len(stage.agent_log.read_text())
    sqs = stage.region.client("sqs")
    for kind in ("prepare", "freeze", "thaw"):
        sqs.send_message(
            QueueUrl=stage.protection.commands_url, MessageBody=command(type=kind, run_id=run_id)
        )
    _until(lambda: stage.agent_log.read_text()[before:].count("command-of-ended-run") == 3)
    assert '"event": "reply"' not in stage.agent_log.read_text()[before:]


def test_replies_of_other_runs_do_not_confuse_a_run(stage: Stage, scheduled_at: datetime) -> None:
    """The reply queue holds what late agents sent; a run reads its own."""
    sqs = stage.region.client("sqs")
    stale: list[dict[str, Any]] = [
        {"type": "frozen", "lock_wait_ms": 1, "freeze_ms": 1, "position": None},
        {"type": "thawed", "reason": "commanded", "intact": True, "held_ms": 1, "locked_ms": 1},
    ]
    for reply in stale:
        body = json.dumps({"v": 1, "run_id": RUN, "target": TARGET, **reply})
        sqs.send_message(QueueUrl=stage.protection.replies_url, MessageBody=body)
    sqs.send_message(QueueUrl=stage.protection.replies_url, MessageBody="noise")
    record = stage.invoke(scheduled_at)
    assert record["verdict"] == "consistent"
    assert record["attempts"][0]["frozen"]["position"] is not None


def test_what_cannot_be_read_ends_in_the_dead_letter_queue(stage: Stage) -> None:
    """Three receives, then somebody is told."""
    sqs = stage.region.client("sqs")
    url = stage.protection.commands_url
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
    dead = json.loads(arn["Attributes"]["RedrivePolicy"])["deadLetterTargetArn"].split(":")[-1]
    dead_url = sqs.get_queue_url(QueueName=dead)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="to be buried")

    def buried() -> bool:
        messages = sqs.receive_message(QueueUrl=dead_url, MaxNumberOfMessages=10).get("Messages")
        return any(message["Body"] == "to be buried" for message in messages or ())

    _until(buried, within_s=40)


def _until(condition: Callable[[], bool], within_s: float = 10) -> None:
    give_up_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come in time"
        time.sleep(0.05)
