"""The `holdstill` command as it is installed, against a Region with a deployed stack."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from functions.adapters.account_table import AccountTable
from functions.adapters.batches_table import BatchesTable
from functions.adapters.clock import SystemClock
from functions.adapters.cloudfront import CloudFrontApi
from functions.adapters.leases_table import LeasesTable
from functions.adapters.objects import S3Objects
from functions.adapters.upload_telemetry import EmfUploadMeasures
from functions.adapters.uploads_table import UploadsTable
from functions.adapters.wakes import SqsWakes
from functions.domain.sites import Sites
from functions.invalidating import Turn
from functions.upload_ports import UploadWorld
from lab.emulator import REGION
from tests.twins.deployed import STATIC
from tests.twins.trace import Trace, TwinLog

if TYPE_CHECKING:
    from lab.region import Region

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

PROGRAM = Path(__file__).parents[2] / "scripts" / "holdstill"
SITE = json.loads(Sites.of([STATIC]).to_json())["sites"][0]
TEMPLATE = {
    "Resources": {
        "Wakes": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "holdstill-wakes"}},
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "TableName": "holdstill",
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [
                    {"AttributeName": "pk", "AttributeType": "S"},
                    {"AttributeName": "sk", "AttributeType": "S"},
                ],
                "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "sk", "KeyType": "RANGE"},
                ],
            },
        },
    },
    "Outputs": {
        "SiteStatic": {
            "Value": {
                "Fn::Join": [
                    "",
                    [
                        f'{{"site": {json.dumps(SITE)}, "table": "',
                        {"Ref": "Table"},
                        '", "wakes_url": "',
                        {"Ref": "Wakes"},
                        '"}',
                    ],
                ]
            }
        }
    },
}


class Invalidator:
    """The function `invalidate` on the Region, without a Lambda around it."""

    def __init__(self, region: Region) -> None:
        self._sqs = region.client("sqs")
        self._url = self._sqs.get_queue_url(QueueName="holdstill-wakes")["QueueUrl"]
        table, cloudfront = region.client("dynamodb"), region.client("cloudfront")
        self._world = UploadWorld(
            SystemClock(),
            TwinLog(Trace()),
            UploadsTable(table, "holdstill"),
            BatchesTable(table, "holdstill"),
            AccountTable(table, "holdstill"),
            LeasesTable(table, "holdstill", "DISTRIBUTION"),
            CloudFrontApi(cloudfront, cloudfront),
            S3Objects(region.client("s3")),
            SqsWakes(table, "holdstill", self._sqs, self._url),
            EmfUploadMeasures("holdstill-invalidate", "Holdstill"),
        )

    def serve(self) -> None:
        """Take one wake, if one comes within a second, and the turn that it asks for."""
        answer = self._sqs.receive_message(QueueUrl=self._url, WaitTimeSeconds=1)
        for message in answer.get("Messages", ()):
            distribution = json.loads(message["Body"])["distribution"]
            ends_at_ms = self._world.clock.now_ns() // 1_000_000 + 120_000
            owner = str(uuid.uuid4())
            Turn(self._world, Sites.of([STATIC]), distribution, owner, ends_at_ms).take()
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])


class Here:
    """A Region in which the uploads' stack is deployed, as far as the command line sees it."""

    def __init__(self, region: Region) -> None:
        self.region = region
        region.client("cloudformation").create_stack(
            StackName="holdstill-uploads", TemplateBody=json.dumps(TEMPLATE)
        )
        region.client("cloudformation").get_waiter("stack_create_complete").wait(
            StackName="holdstill-uploads", WaiterConfig={"Delay": 1}
        )
        s3 = region.client("s3")
        s3.create_bucket(
            Bucket=STATIC.bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        for key in ("docs/index.html", "img/a b.png", "資料/最終.psd"):
            s3.put_object(Bucket=STATIC.bucket, Key=key, Body=b"new")
        for distribution in STATIC.distributions:
            region.edge.deploy(id=distribution, origin_url=region.url, bucket=STATIC.bucket)

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run the command where there is no terminal; return its status and what it printed."""
        done = subprocess.run(
            [PROGRAM, *arguments],
            env=environment(self.region),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout

    def run_at_terminal(self, *arguments: str, typed: bytes) -> tuple[int, str]:
        """Run it on a terminal, and answer its question."""
        ours, its = pty.openpty()
        with subprocess.Popen(
            [PROGRAM, *arguments],
            env=environment(self.region) | {"TERM": "xterm"},
            stdin=its,
            stdout=its,
            stderr=its,
        ) as command:
            os.close(its)
            said = b""
            try:
                while True:  # ends as the terminal does
                    said += os.read(ours, 4096)
                    if said.endswith(b"[y/N]: "):
                        os.write(ours, typed)
            except OSError:
                os.close(ours)
        return command.returncode, said.decode()

    def waiting(self) -> list[dict[str, Any]]:
        """Return what waits, as the command tells it."""
        status, said = self.run("invalidations", "--json")
        assert status == 0, said
        rows: list[dict[str, Any]] = json.loads(said)["waiting"]
        return rows


def environment(region: Region) -> dict[str, str]:
    """Return what the command finds in its environment."""
    return {"PATH": os.environ["PATH"], **region.environment}


@pytest.fixture
def here(region: Region) -> Here:
    """Return the Region with the stack."""
    return Here(region)


def test_without_a_stack_it_says_what_to_do(region: Region) -> None:
    """Status 1: it was asked for rightly."""
    done = subprocess.run(
        [PROGRAM, "invalidations"],
        env=environment(region),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"There is no stack holdstill-uploads in {REGION}" in done.stderr


def test_what_is_asked_for_is_in_the_table_and_its_distributions_are_woken(here: Here) -> None:
    """A dry run before it changes nothing, and says the same."""
    what = ("invalidate", "static", "docs/index.html", "資料/最終.psd", "--prefix", "img/")
    dry, would = here.run(*what, "--dry-run")
    assert dry == 0, would
    assert "\nobjects  3\n" in would
    assert here.waiting() == []
    wet, did = here.run(*what, "--yes")
    assert wet == 0, did
    assert did.splitlines()[:-1] == would.splitlines()[:-1]
    rows = here.waiting()
    assert {row["path"] for row in rows} == {
        "/docs/index.html",
        "/docs/",
        "/docs/index",
        "/%E8%B3%87%E6%96%99/%E6%9C%80%E7%B5%82.psd",
        "/img/*",
    }
    assert {row["asked_by"] for row in rows} == {"arn:aws:iam::000000000000:root"}
    sqs = here.region.client("sqs")
    url = sqs.get_queue_url(QueueName="holdstill-wakes")["QueueUrl"]
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert sorted(json.loads(message["Body"])["distribution"] for message in messages) == sorted(
        STATIC.distributions
    )


def test_a_terminal_is_asked(here: Here) -> None:
    """A no does nothing, a yes does it."""
    status, said = here.run_at_terminal("invalidate", "static", "--all", typed=b"n\n")
    assert (status, here.waiting()) == (1, [])
    assert "cost     nothing" in said
    status, said = here.run_at_terminal("invalidate", "static", "--all", typed=b"y\n")
    assert status == 0, said
    assert {row["path"] for row in here.waiting()} == {"/*"}


def test_waiting_ends_when_cloudfront_has_completed_it(here: Here) -> None:
    """On every distribution; and the history tells the whole of it."""
    here.region.edge.control(completion_s=3)
    invalidator = Invalidator(here.region)
    with subprocess.Popen(
        [PROGRAM, "invalidate", "static", "docs/index.html", "img/a b.png", "--yes", "--wait"],
        env=environment(here.region),
        stdout=subprocess.PIPE,
        text=True,
    ) as command:
        while command.poll() is None:
            invalidator.serve()
        said, _ = command.communicate()
    assert command.returncode == 0, said
    made = here.region.edge.state()["distributions"]
    for distribution in STATIC.distributions:
        steps = [line for line in said.splitlines() if f"s  {distribution}  " in line]
        assert "completed (" in steps[-1]
        assert made[distribution]["invalidations"] == 1
    assert here.waiting() == []
    status, said = here.run("invalidations", "static")
    assert status == 0
    assert said.count("\ncompleted, ") + said.startswith("completed, ") == 2
    assert said.count("asked by arn:aws:iam::000000000000:root") == 2
