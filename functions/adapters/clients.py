"""The AWS clients: each made at its first use and kept for the process's life.

They are boto3's, made by botocore alone: boto3 itself brings resources and S3 transfers, a fifth
of a cold start, and nothing here uses either. Region and credentials are found as always.
"""

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config
from botocore.parsers import ResponseParserError
from botocore.session import Session

if TYPE_CHECKING:
    from mypy_boto3_cloudfront import CloudFrontClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

PATIENT: Final = Config(
    connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 5}
)
ONCE: Final = Config(connect_timeout=2, read_timeout=4, retries={"total_max_attempts": 1})
"""For who repeats by himself, and has a deadline that five tries of 13 s would run over."""

CREATING: Final = Config(
    connect_timeout=3, read_timeout=15, retries={"mode": "standard", "total_max_attempts": 1}
)
"""CreateInvalidation takes its time for 3,000 paths. A lost answer costs the same call again."""

LISTENING: Final = Config(
    connect_timeout=3, read_timeout=25, retries={"mode": "standard", "total_max_attempts": 3}
)
"""A long poll lasts 20 s."""

SPEAKING: Final = Config(
    connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3}
)
"""A thaw that got stuck is worth a second try within the freeze budget; twice does no harm."""


@cache
def _session() -> Session:
    """Return the session, which keeps the service models that it has loaded."""
    return Session()


def made(session: Session, service: str, config: Config) -> Any:
    """Return a client that takes no stranger's answer for AWS's. Raise botocore's own errors."""
    client = session.create_client(service, config=config)
    client.meta.events.register("after-call.*", refuse_strangers)
    return client


def _make(service: str, config: Config) -> Any:
    return made(_session(), service, config)


def refuse_strangers(http_response: Any, **_: object) -> None:
    """Raise ResponseParserError for a web page in AWS's place.

    Where the service speaks JSON botocore takes it for an answer, and a write for done. S3 has
    nothing to say after some writes, and may name no type, but always names the request.
    """
    kind = http_response.headers.get("content-type", "")
    if "json" in kind or "xml" in kind:
        return
    if "x-amz-request-id" in http_response.headers and not (kind and http_response.content):
        return
    raise ResponseParserError(f"not an answer of AWS, but {kind or 'something untyped'}")


@cache
def ec2() -> "EC2Client":
    """Return the client for what may take its time, before anything is held."""
    client: EC2Client = _make("ec2", PATIENT)
    return client


@cache
def ec2_once() -> "EC2Client":
    """Return the client for what follows an attempt."""
    client: EC2Client = _make("ec2", ONCE)
    return client


@cache
def dynamodb() -> "DynamoDBClient":
    """Return the table's client."""
    client: DynamoDBClient = _make("dynamodb", PATIENT)
    return client


@cache
def commands() -> "SQSClient":
    """Return the client that sends."""
    client: SQSClient = _make("sqs", SPEAKING)
    return client


@cache
def replies() -> "SQSClient":
    """Return the client that listens, on a connection of its own."""
    client: SQSClient = _make("sqs", LISTENING)
    return client


@cache
def cloudfront_once() -> "CloudFrontClient":
    """Return the client for CreateInvalidation: each of its calls is one call, and is counted."""
    client: CloudFrontClient = _make("cloudfront", CREATING)
    return client


@cache
def cloudfront() -> "CloudFrontClient":
    """Return the client that only reads, and may be throttled meanwhile."""
    client: CloudFrontClient = _make("cloudfront", PATIENT)
    return client


@cache
def s3() -> "S3Client":
    """Return the client that lists buckets."""
    client: S3Client = _make("s3", PATIENT)
    return client


@cache
def wakes() -> "SQSClient":
    """Return the client that sends wakes."""
    client: SQSClient = _make("sqs", PATIENT)
    return client


def window(timeout_s: float) -> "EC2Client":
    """Return a client that asks once and gives up within `timeout_s`, connecting included.

    `max_attempts` would count retries; `total_max_attempts` counts the calls.
    """
    connect_s = min(1.0, timeout_s / 4)
    config = Config(
        connect_timeout=connect_s,
        read_timeout=timeout_s - connect_s,
        retries={"total_max_attempts": 1},
    )
    client: EC2Client = _make("ec2", config)
    return client
