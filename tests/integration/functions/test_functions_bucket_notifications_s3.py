"""The adapter and the domain against an S3 that is not ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from functions.adapters.bucket_notifications import BucketGoneError, BucketNotifications
from functions.adapters.clock import SystemClock
from functions.domain import notifications, notified_buckets
from functions.domain.notified_buckets import Wanted
from functions.domain.site import EventSource
from lab.bucket_events import queue_policy
from lab.emulator import ACCOUNT, REGION

if TYPE_CHECKING:
    from lab.region import Region

pytestmark = pytest.mark.emulator

BUCKET = "example-static"


@pytest.fixture
def s3(region: Region) -> Any:
    """Return the emulator's S3, with the bucket."""
    client = region.client("s3", s3={"addressing_style": "path"})
    client.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"}
    )
    return client


@pytest.fixture
def queue_arn(region: Region) -> str:
    """Make the uploads' queue."""
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:holdstill-uploads"
    policy = {"Policy": queue_policy(arn, BUCKET)}
    region.client("sqs").create_queue(QueueName="holdstill-uploads", Attributes=policy)
    return arn


def test_what_is_written_is_what_s3_understands(s3: Any, queue_arn: str) -> None:
    """Another client reads our notification as it is meant, and the other's as it was."""
    other = {
        "Id": "acl",
        "LambdaFunctionArn": f"arn:aws:lambda:ap-northeast-1:{ACCOUNT}:function:f",
        "Events": ["s3:ObjectAcl:Put"],
        "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": " é&<.png"}]}},
    }
    s3.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"LambdaFunctionConfigurations": [other]}
    )
    buckets = BucketNotifications(s3, SystemClock(), ACCOUNT)
    before = buckets.read(BUCKET)
    theirs = s3.get_bucket_notification_configuration(Bucket=BUCKET)["LambdaFunctionConfigurations"]
    for events in EventSource:
        wanted = Wanted(BUCKET, events, queue_arn, ("site/",))
        document, _ = notified_buckets.put(before, wanted)
        buckets.write(BUCKET, before, document)
        answer = s3.get_bucket_notification_configuration(Bucket=BUCKET)
        assert answer["LambdaFunctionConfigurations"] == theirs
        if events is EventSource.S3:
            (ours,) = answer["QueueConfigurations"]
            assert ours["QueueArn"] == queue_arn
            assert sorted(ours["Events"]) == sorted(notifications.EVENTS)
            (rule,) = ours["Filter"]["Key"]["FilterRules"]
            assert (rule["Name"].lower(), rule["Value"]) == ("prefix", "site/")
        else:
            assert answer["EventBridgeConfiguration"] == {}
        written = buckets.read(BUCKET)
        if events is EventSource.S3:
            buckets.write(BUCKET, written, notifications.queue_taken(written), validate=False)
            assert notifications.same(buckets.read(BUCKET), before)


@pytest.mark.parametrize(
    ("made_in", "constraint", "found"),
    [
        ("us-east-1", None, "us-east-1"),
        ("eu-west-1", "EU", "eu-west-1"),
        ("eu-central-1", "eu-central-1", "eu-central-1"),
    ],
)
def test_a_buckets_region_is_known_from_any_other(
    region: Region, s3: Any, made_in: str, constraint: str | None, found: str
) -> None:
    """S3 has no name for its first Region, and an old one for its second."""
    settings = {"CreateBucketConfiguration": {"LocationConstraint": constraint}}
    there = region.client("s3", region_name=made_in, s3={"addressing_style": "path"})
    there.create_bucket(Bucket="example-far", **(settings if constraint else {}))
    buckets = BucketNotifications(s3, SystemClock(), ACCOUNT)
    assert buckets.region("example-far") == found
    assert buckets.region(BUCKET) == REGION


def test_a_bucket_that_is_gone_is_told_apart(s3: Any) -> None:
    """Only of such a bucket a Delete is done without a word to S3."""
    buckets = BucketNotifications(s3, SystemClock(), ACCOUNT)
    with pytest.raises(BucketGoneError, match="example-gone"):
        buckets.read("example-gone")
