"""How the emulator's event source mappings read their queues: what a wake's delay stands on."""

import io
import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lab.emulator import ACCOUNT, REGION
from lab.region import Region

pytestmark = pytest.mark.emulator

CODE = """
import json, time
def handler(event, context):
    began = time.time()
    time.sleep(float(event["Records"][0]["body"]))
    with open("PLACE", "a") as calls:
        calls.write(json.dumps([began, time.time()]) + "\\n")
"""


class Reader:
    """A queue `wakes` whose messages say for how many s their function sleeps."""

    def __init__(self, region: Region, calls: Path) -> None:
        self._calls = calls
        self._sqs = region.client("sqs")
        self._url = self._sqs.create_queue(QueueName="wakes")["QueueUrl"]
        self._other = self._sqs.create_queue(QueueName="other")["QueueUrl"]
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("index.py", CODE.replace("PLACE", str(calls)))
        functions = region.client("lambda")
        functions.create_function(
            FunctionName="reader",
            Runtime="python3.13",
            Handler="index.handler",
            Role=f"arn:aws:iam::{ACCOUNT}:role/lab",
            Timeout=20,
            Code={"ZipFile": code.getvalue()},
        )
        functions.create_event_source_mapping(
            EventSourceArn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:wakes",
            FunctionName="reader",
            BatchSize=1,
            ScalingConfig={"MaximumConcurrency": 10},
        )

    def send(self, sleep_s: float, **more: Any) -> None:
        """Send a message."""
        self._sqs.send_message(QueueUrl=self._url, MessageBody=str(sleep_s), **more)

    def disturb(self) -> None:
        """Send something that is none of the function's business."""
        self._sqs.send_message(QueueUrl=self._other, MessageBody="other")

    def calls(self, count: int) -> list[tuple[float, float]]:
        """Return when so many calls began and ended."""
        give_up_at = time.monotonic() + 30
        while True:
            lines = self._calls.read_text().splitlines() if self._calls.exists() else []
            if len(lines) >= count:
                return [(began, ended) for began, ended in map(json.loads, lines)]
            assert time.monotonic() < give_up_at, lines
            time.sleep(0.01)


@pytest.fixture
def reader(region: Region, tmp_path: Path) -> Reader:
    """Return a function that has been called once, so that it is warm."""
    reader = Reader(region, tmp_path / "calls")
    reader.send(0)
    reader.calls(1)
    return reader


def test_a_delayed_message_is_read_when_its_time_has_come(reader: Reader) -> None:
    """Not at the poller's next second, which other traffic moves on and on."""
    late_s = []
    for number in range(2, 7):
        due = time.time() + 1
        reader.send(0, DelaySeconds=1)
        time.sleep(0.8)
        reader.disturb()
        late_s.append(reader.calls(number)[-1][0] - due)
    assert min(late_s) >= -0.01
    assert sorted(late_s)[2] < 0.4


def test_no_more_calls_are_in_flight_than_there_are_cores(reader: Reader) -> None:
    """A function here is a process: ten of them at once would only make one another late."""
    for _ in range(8):
        reader.send(0.7)
    calls = reader.calls(9)[1:]
    at_once = max(sum(began <= moment < ended for began, ended in calls) for moment, _ in calls)
    assert 2 <= at_once <= max(2, os.cpu_count() or 2)
