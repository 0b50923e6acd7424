"""What the uploads' adapters make of an answer that botocore cannot read, and of half a one."""

from collections.abc import Callable
from typing import Any, NoReturn, Self

import pytest
from botocore.awsrequest import AWSResponse
from botocore.parsers import ResponseParserError

from functions.adapters import clients
from functions.adapters.account_table import AccountTable
from functions.adapters.batches_table import BatchesTable
from functions.adapters.cloudfront import CloudFrontApi
from functions.adapters.objects import S3Objects
from functions.adapters.uploads_table import UploadsTable
from functions.adapters.wakes import SqsWakes
from functions.domain.batch import LookUp, Unanswered
from functions.domain.errors import (
    AwsError,
    BucketError,
    CloudFrontError,
    QueueError,
    TableError,
)
from tests.laws.upload_rows import HERE, answered, batch, change, news, waiting
from tests.twins.clock import EPOCH


class Garbled:
    """A client all of whose calls are answered by a proxy's page; making a paginator is no call."""

    def get_paginator(self, _name: str) -> Self:
        """Return what asks for pages."""
        return self

    def paginate(self, **_: object) -> Self:
        """Return the pages, none of which is asked for yet."""
        return self

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> NoReturn:
        self._call()

    def __getattr__(self, _name: str) -> Callable[..., NoReturn]:
        return self._call

    def _call(self, *_: object, **__: object) -> NoReturn:
        raise ResponseParserError("Unable to parse response, invalid XML received")


class Raw:
    """The body of an answer, not read yet."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> list[bytes]:
        """Return what comes over the line."""
        return [self._body]


class Halved:
    """SQS and CloudFront whose answers are broken off, before a table that has nothing."""

    def __getattr__(self, _name: str) -> Callable[..., dict[str, object]]:
        return lambda **_: {}


CLIENT: Any = Garbled()
HALVED: Any = Halved()
UPLOADS, BATCHES = UploadsTable(CLIENT, "holdstill"), BatchesTable(CLIENT, "holdstill")
ACCOUNT, CLOUDFRONT = AccountTable(CLIENT, "holdstill"), CloudFrontApi(CLIENT, CLIENT)
RECORD, CONTENTS = batch("1")


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda: UPLOADS.seen("static", ["a"]), TableError),
        (lambda: UPLOADS.note([news(change())]), TableError),
        (lambda: UPLOADS.ask([waiting()]), TableError),
        (lambda: UPLOADS.waiting(HERE), TableError),
        (lambda: UPLOADS.oldest(HERE), TableError),
        (lambda: UPLOADS.settle([waiting()]), TableError),
        (lambda: BATCHES.open(HERE), TableError),
        (lambda: BATCHES.contents(RECORD), TableError),
        (lambda: BATCHES.store(RECORD, CONTENTS, "one"), TableError),
        (lambda: BATCHES.change(RECORD, answered(RECORD)), TableError),
        (lambda: BATCHES.answered_since(HERE, EPOCH), TableError),
        (lambda: list(BATCHES.history(HERE)), TableError),
        (lambda: BATCHES.aside(HERE), TableError),
        (lambda: ACCOUNT.claim_call(EPOCH), TableError),
        (lambda: ACCOUNT.used(EPOCH), TableError),
        (lambda: SqsWakes(CLIENT, "t", CLIENT, "url").wake(HERE, 1, EPOCH), TableError),
        (lambda: SqsWakes(HALVED, "t", CLIENT, "url").wake(HERE, 1, EPOCH), QueueError),
        (lambda: list(S3Objects(CLIENT).keys("b", "")), BucketError),
        (lambda: CLOUDFRONT.look_up(HERE, LookUp("r", ("/a",))), CloudFrontError),
        (lambda: CLOUDFRONT.completed(HERE, ["I1"]), CloudFrontError),
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error_of_aws(
    ask: Callable[[], object], error: type[AwsError]
) -> None:
    """Whoever asked knows what to do about those; anything else would end the process."""
    with pytest.raises(error, match="Unable to parse"):
        ask()


def test_a_creation_without_a_readable_answer_is_unanswered() -> None:
    """It may have been made, whatever came in place of the answer."""
    assert CLOUDFRONT.create(HERE, "r", ["/a"]) == Unanswered()
    assert CloudFrontApi(HALVED, HALVED).create(HERE, "r", ["/a"]) == Unanswered()


def test_half_an_answer_is_no_wake() -> None:
    """A wake is sent when SQS names it."""
    with pytest.raises(QueueError, match="not sent"):
        SqsWakes(HALVED, "holdstill", HALVED, "https://sqs.example/wakes").wake(HERE, 1, EPOCH)


def test_an_answer_of_s3s_may_have_no_type() -> None:
    """It always names the request; what a proxy says does not, and a web page has its type."""
    named: Any = {"x-amz-request-id": "1"}
    page: Any = {**named, "content-type": "text/html"}
    for headers, body, taken in (
        (named, b"", True),
        (named, b"<xml/>", True),
        (page, b"x", False),
        ({}, b"", False),
    ):
        given: Any = headers
        raw: Any = Raw(body)
        answer = AWSResponse("https://s3", 200, given, raw)
        if taken:
            clients.refuse_strangers(http_response=answer)
        else:
            with pytest.raises(ResponseParserError, match="not an answer"):
                clients.refuse_strangers(http_response=answer)


def test_every_upload_client_refuses_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the one that makes invalidations makes each of its calls once."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    for make in (clients.cloudfront_once, clients.cloudfront, clients.s3, clients.wakes):
        client: Any = make.__wrapped__()
        web: Any = {"content-type": "text/html"}
        answer: Any = AWSResponse("https://aws", 200, web, None)
        with pytest.raises(ResponseParserError, match="not an answer"):
            client.meta.events.emit("after-call.any.Call", http_response=answer)
    once: Any = clients.cloudfront_once.__wrapped__()
    assert once.meta.config.retries["total_max_attempts"] == 1
