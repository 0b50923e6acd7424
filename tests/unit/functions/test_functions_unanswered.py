"""An answer that botocore cannot read is no answer, and no bug."""

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from botocore.awsrequest import AWSResponse
from botocore.parsers import ResponseParserError

from functions.adapters import clients
from functions.adapters.ec2 import Ec2
from functions.adapters.leases_table import LeasesTable
from functions.adapters.queues import SqsHostQueues
from functions.adapters.runs_table import RunsTable
from functions.domain.errors import AwsError, Ec2Error, QueueError, TableError
from functions.domain.verdict import Verdict
from holdstill_protocol.conductor_model import Snapshot
from tests.laws.table import LATER, opened


class Garbled:
    """A client all of whose calls are answered by a proxy's page."""

    def __getattr__(self, _name: str) -> Callable[..., NoReturn]:
        return self._call

    def _call(self, *_: object, **__: object) -> NoReturn:
        raise ResponseParserError("Unable to parse response, invalid XML received")


CLIENT: Any = Garbled()
QUEUES = SqsHostQueues(
    CLIENT, CLIENT, "https://sqs.example/commands", "https://sqs.example/replies"
)
EC2 = Ec2(CLIENT, CLIENT, lambda _: CLIENT)
RUNS, LEASES = RunsTable(CLIENT, "holdstill"), LeasesTable(CLIENT, "holdstill")


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda: QUEUES.send("{}"), QueueError),
        (lambda: QUEUES.receive(1), QueueError),
        (lambda: QUEUES.delete(["receipt"]), QueueError),
        (lambda: EC2.attached("i-0123456789abcdef0"), Ec2Error),
        (lambda: EC2.snapshots_of("recipes-db.*"), Ec2Error),
        (lambda: EC2.tag_verdict([Snapshot("snap-1", "vol-db")], Verdict.CONSISTENT), Ec2Error),
        (lambda: RUNS.open(opened()), TableError),
        (lambda: RUNS.overdue(LATER), TableError),
        (lambda: LEASES.renew("recipes-db", "one", LATER), TableError),
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error_of_aws(
    ask: Callable[[], object], error: type[AwsError]
) -> None:
    """The conductor knows what to do about those; anything else would end its process."""
    with pytest.raises(error, match="Unable to parse"):
        ask()


class Halved:
    """SQS whose answers are broken off: botocore reads them as answers without content."""

    def send_message(self, **_: object) -> dict[str, str]:
        """Answer with nothing."""
        return {}

    receive_message = send_message


def test_half_an_answer_is_no_answer() -> None:
    """A command is sent when SQS names it, and a queue is empty when SQS has waited."""
    client: Any = Halved()
    halved = SqsHostQueues(client, client, "https://sqs.example/c", "https://sqs.example/r")
    with pytest.raises(QueueError, match="not sent"):
        halved.send("{}")
    with pytest.raises(QueueError, match="no wait"):
        halved.receive(1)


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", ""])
def test_a_web_page_is_not_taken_for_an_answer(kind: str) -> None:
    """A proxy's page with status 200 would otherwise say that a lease was taken."""
    headers: Any = {"content-type": kind} if kind else {}
    answer: Any = AWSResponse("https://dynamodb", 200, headers, None)
    with pytest.raises(ResponseParserError, match="not an answer"):
        clients.refuse_strangers(http_response=answer)
