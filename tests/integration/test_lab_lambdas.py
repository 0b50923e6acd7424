"""How the emulator runs Lambdas and fires schedules: what the backup function stands on."""

from __future__ import annotations

import io
import json
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from lab.emulator import ACCOUNT

if TYPE_CHECKING:
    from pathlib import Path

    from lab.region import Region

pytestmark = pytest.mark.emulator

ROLE = f"arn:aws:iam::{ACCOUNT}:role/lab"
CODE = """
import json, os, time
calls = 0
def handler(event, context):
    global calls
    calls += 1
    time.sleep(event.get("sleep_s", 0))
    while "until" in event and not os.path.exists(event["until"]):
        time.sleep(0.02)
    if event.get("fail"):
        raise RuntimeError("asked for")
    if "queue" in event:
        import boto3
        boto3.client("sqs").send_message(QueueUrl=event["queue"], MessageBody=json.dumps(event))
    return {"calls": calls, "pid": os.getpid(), "ec2": os.environ.get("AWS_ENDPOINT_URL_EC2"),
            "path": os.environ.get("PYTHONPATH"), "left_ms": context.get_remaining_time_in_millis()}
"""


@pytest.fixture
def function(region: Region) -> str:
    """Return the ARN of a function that does what its event says, with a timeout of 3 s."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", CODE)
    arn: str = region.client("lambda").create_function(
        FunctionName="lab",
        Runtime="python3.13",
        Handler="index.handler",
        Role=ROLE,
        Timeout=3,
        Code={"ZipFile": code.getvalue()},
    )["FunctionArn"]
    return arn


@pytest.fixture
def queue(region: Region) -> str:
    """Return the URL of an empty queue."""
    url: str = region.client("sqs").create_queue(QueueName="lab")["QueueUrl"]
    return url


def invoke(region: Region, **event: Any) -> Any:
    """Invoke the function and wait; return its result or its error."""
    answer = region.client("lambda").invoke(FunctionName="lab", Payload=json.dumps(event))
    return json.loads(answer["Payload"].read())


@pytest.mark.usefixtures("function")
def test_a_worker_is_kept_warm_until_it_fails(region: Region) -> None:
    """One process serves call after call. After an exception the next call starts cold."""
    first, second = invoke(region), invoke(region)
    assert (second["pid"], second["calls"]) == (first["pid"], 2)
    assert invoke(region, fail=True)["errorMessage"] == "asked for"
    assert invoke(region)["calls"] == 1


@pytest.mark.usefixtures("function")
def test_a_function_finds_our_ec2_and_no_path_of_ours(region: Region) -> None:
    """The environment is the seam for EC2, and must not lend a Lambda our own modules."""
    result = invoke(region)
    assert result["ec2"] == region.ec2_url
    assert result["path"] is None
    assert 2000 < result["left_ms"] <= 3000


@pytest.mark.usefixtures("function")
def test_a_long_invocation_blocks_nothing(region: Region, tmp_path: Path) -> None:
    """While one call waits, queues answer, and a second call gets a worker of its own."""
    region.client("lambda").update_function_configuration(FunctionName="lab", Timeout=60)
    ended = tmp_path / "the-second-has-ended"
    with ThreadPoolExecutor() as pool:
        first = pool.submit(invoke, region, until=str(ended))
        try:
            region.client("sqs").list_queues()
            second = invoke(region)
        finally:
            ended.touch()
        assert second["pid"] != first.result()["pid"]


@pytest.mark.usefixtures("function")
def test_a_function_ends_at_its_timeout(region: Region) -> None:
    """A call over its time is killed and is an error."""
    began = time.monotonic()
    assert "timed out" in invoke(region, sleep_s=30)["errorMessage"]
    assert time.monotonic() - began < 8


def test_a_schedule_fires_in_its_zone_and_says_its_time(
    region: Region, function: str, queue: str
) -> None:
    """A one-time schedule reaches the Lambda on time, its input carrying the time it stood for."""
    at = datetime.now(ZoneInfo("Asia/Tokyo")).replace(microsecond=0) + timedelta(seconds=2)
    region.client("scheduler").create_schedule(
        Name="soon",
        ScheduleExpression=f"at({at:%Y-%m-%dT%H:%M:%S})",
        ScheduleExpressionTimezone="Asia/Tokyo",
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target={
            "Arn": function,
            "RoleArn": ROLE,
            "Input": json.dumps(
                {
                    "queue": queue,
                    "scheduled_at": "<aws.scheduler.scheduled-time>",
                    "execution": "<aws.scheduler.execution-id>",
                    "arn": "<aws.scheduler.schedule-arn>",
                    "attempt": "<aws.scheduler.attempt-number>",
                }
            ),
        },
    )
    messages = region.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
    late_s = (datetime.now(UTC) - at).total_seconds()
    event = json.loads(messages[0]["Body"])
    assert event["scheduled_at"] == at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert event["arn"].endswith(":schedule/default/soon")
    assert event["attempt"] == "1"
    assert "<" not in event["execution"]
    assert 0 <= late_s < 4
    assert region.client("scheduler").list_schedules()["Schedules"] == []


def test_a_scheduled_failure_goes_to_the_on_failure_queue_once(
    region: Region, function: str, queue: str
) -> None:
    """With no retries, one failed call is one message: the conductor's own decision repeats."""
    region.client("lambda").put_function_event_invoke_config(
        FunctionName="lab",
        MaximumRetryAttempts=0,
        DestinationConfig={
            "OnFailure": {"Destination": f"arn:aws:sqs:ap-northeast-1:{ACCOUNT}:lab"}
        },
    )
    region.client("scheduler").create_schedule(
        Name="past",
        ScheduleExpression="at(2026-01-01T00:00:00)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": function, "RoleArn": ROLE, "Input": json.dumps({"fail": True})},
    )
    sqs = region.client("sqs")
    first = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
    assert json.loads(first[0]["Body"])["requestPayload"] == {"fail": True}
    assert "Messages" not in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=2)
