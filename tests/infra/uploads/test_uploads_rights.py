"""What the uploads' functions do with the table is what their roles allow, and no more is allowed.

The lab's emulator takes everything from everybody: only this tells before AWS does.
"""

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import boto3
import pytest
from moto import mock_aws

from functions.adapters.account_table import AccountTable
from functions.adapters.batches_table import BatchesTable
from functions.adapters.leases_table import LeasesTable
from functions.adapters.uploads_table import UploadsTable
from functions.adapters.wakes import SqsWakes
from functions.collecting import Collector
from functions.domain.deliveries import Delivery
from functions.domain.errors import QueueError
from functions.domain.sites import Sites
from functions.invalidating import Turn
from functions.upload_ports import UploadWorld
from functions.uploads_sweeping import UploadsSweep
from infra import naming
from lab.edge.controls import Fault
from lab.faults.stack import TABLE
from tests.infra.granted import Grants
from tests.infra.template_reading import Templates
from tests.twins.clock import TwinClock
from tests.twins.cloudfront import TwinCloudFront
from tests.twins.trace import Trace, TwinLog
from tests.twins.upload_world import TwinObjects, TwinUploadMeasures, record, site

SITES: Final = Sites.of([site("shop"), site("blog", distributions=("E1", "E2"))])
WRITES: Final = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
"""A transaction is authorised as the writes that it is made of."""

Asked = Counter[tuple[str, str]]
"""How often an action was asked for on the rows of a partition key."""


def asked_by(operation: str, parameters: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what IAM is asked about one call of DynamoDB's API."""
    match operation, parameters:
        case "TransactWriteItems", {"TransactItems": writes}:
            for write in writes:
                ((kind, inner),) = write.items()
                yield WRITES[kind], inner.get("Key", inner.get("Item"))["pk"]["S"]
        case "BatchGetItem", {"RequestItems": tables}:
            for wanted in tables.values():
                yield from ((operation, key["pk"]["S"]) for key in wanted["Keys"])
        case "BatchWriteItem", {"RequestItems": tables}:
            for writes in tables.values():
                for write in writes:
                    (inner,) = write.values()
                    yield operation, inner.get("Key", inner.get("Item"))["pk"]["S"]
        case "Query", {"KeyConditionExpression": str(), "ExpressionAttributeValues": values}:
            yield operation, values[":pk"]["S"]
        case _, {"Key": row} | {"Item": row}:
            yield operation, row["pk"]["S"]
        case _:
            raise AssertionError(f"no test knows what {operation} needs")


class Deployed:
    """Both functions on a table and a queue of moto's, with what each asked of DynamoDB."""

    def __init__(self) -> None:
        self.asked: dict[str, Asked] = {
            naming.COLLECT_UPLOADS: Counter(),
            naming.INVALIDATE: Counter(),
        }
        self.clock = TwinClock()
        self.cloudfront = TwinCloudFront(self.clock)
        self.objects = TwinObjects()
        self._clients = {function: self._client(function) for function in self.asked}
        self._sqs = boto3.client("sqs", "ap-northeast-1")
        self.wakes_url = self._sqs.create_queue(QueueName=naming.WAKES_QUEUE)["QueueUrl"]
        boto3.client("dynamodb", "ap-northeast-1").create_table(**TABLE)

    def collect(self, *records: str, wakes_url: str = "") -> None:
        """Be an invocation of the function that collects."""
        client = self._clients[naming.COLLECT_UPLOADS]
        Collector(
            SITES,
            self.clock,
            TwinLog(Trace()),
            UploadsTable(client, naming.TABLE),
            SqsWakes(client, naming.TABLE, self._sqs, wakes_url or self.wakes_url),
            TwinUploadMeasures(),
        ).collect([Delivery(f'{{"Records":[{",".join(records)}]}}', "1")])

    def turn(self, distribution: str) -> None:
        """Be a woken invocation of the function that invalidates."""
        ends_at_ms = self.clock.now_ms + 120_000
        Turn(self._world(), SITES, distribution, uuid.uuid4().hex, ends_at_ms).take()

    def sweep(self) -> None:
        """Be an invocation of it by the schedule."""
        UploadsSweep(self._world(), SITES).sweep()

    def _world(self) -> UploadWorld:
        client = self._clients[naming.INVALIDATE]
        return UploadWorld(
            clock=self.clock,
            log=TwinLog(Trace()),
            uploads=UploadsTable(client, naming.TABLE),
            batches=BatchesTable(client, naming.TABLE),
            account=AccountTable(client, naming.TABLE),
            leases=LeasesTable(client, naming.TABLE, "DISTRIBUTION"),
            cloudfront=self.cloudfront,
            objects=self.objects,
            wakes=SqsWakes(client, naming.TABLE, self._sqs, self.wakes_url),
            measures=TwinUploadMeasures(),
        )

    def _client(self, function: str) -> Any:
        client = boto3.client("dynamodb", "ap-northeast-1")

        def note(params: dict[str, Any], model: Any, **_: object) -> None:
            self.asked[function].update(asked_by(model.name, params))

        client.meta.events.register("provide-client-params.dynamodb", note)
        return client


@pytest.fixture(scope="module")
def asked() -> Mapping[str, Asked]:
    """Return what each function asked of the table in a life of both."""
    with pytest.MonkeyPatch.context() as patched, mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patched.setenv(name, "testing")
        deployed = Deployed()
        live(deployed)
        return deployed.asked


def live(deployed: Deployed) -> None:
    """Go through what happens to uploads: news, repetitions, refusals, crashes, completions."""
    now = deployed.clock.wall
    message = [
        record(f"{name}-bucket", key, now(), "0055")
        for name in ("shop", "blog")
        for key in ("a.png", "b.png", "docs/index.html", "bad.png")
    ]
    with pytest.raises(QueueError):
        deployed.collect(*message, wakes_url=f"{deployed.wakes_url}-gone")
    for _ in range(2):
        deployed.collect(*message)
    deployed.cloudfront.bad_paths = {"/bad.png"}
    deployed.cloudfront.faults.extend([Fault.THROTTLE, Fault.UNAVAILABLE_AFTER, None, None])
    for minute in range(5):
        deployed.sweep()
        for distribution in SITES.distributions:
            deployed.turn(distribution)
        deployed.clock.sleep(60)
        deployed.collect(record("shop-bucket", f"{minute}.png", now(), "0056"))
    assert deployed.cloudfront.made("E1")
    assert deployed.cloudfront.made("E2")


@pytest.mark.parametrize("function", [naming.COLLECT_UPLOADS, naming.INVALIDATE])
def test_a_function_may_do_what_it_does_and_nothing_else(
    asked: Mapping[str, Asked], templates: Templates, function: str
) -> None:
    """Every call of a life is allowed on its rows, and no action is allowed that none needs."""
    may = Grants(templates[naming.UPLOADS_STACK], function)
    assert not [(action, key) for action, key in asked[function] if not may.row(action, key)]
    assert {action for action, _ in asked[function]} == may.actions("dynamodb")
