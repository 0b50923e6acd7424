"""How the lab's S3 tells of its objects: as the real one does, where an upload's way depends on it.

The source of each is lab/bucket_events.py, or MiniStack where it was found right.
"""

import json
import time
from typing import Any
from urllib.parse import unquote_plus

import pytest
from botocore.exceptions import ClientError

from lab.bucket_events import queue_policy
from lab.emulator import ACCOUNT, REGION
from lab.region import Region

pytestmark = pytest.mark.emulator

QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:uploads"
OTHER_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:other"
HARD = "a b+/\u8cc7\u6599 (1)~100%.png"


@pytest.fixture
def s3(region: Region) -> Any:
    """Return a client, with a bucket `static` and two queues that let it in."""
    for arn in (QUEUE_ARN, OTHER_ARN):
        region.client("sqs").create_queue(
            QueueName=arn.split(":")[-1], Attributes={"Policy": queue_policy(arn, "static")}
        )
    client = region.client("s3")
    client.create_bucket(Bucket="static", CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


def to_queue(arn: str, *events: str, prefix: str = "", suffix: str = "") -> dict[str, Any]:
    """Return a queue's configuration."""
    rules = [("prefix", prefix), ("suffix", suffix)]
    named = [{"Name": name, "Value": value} for name, value in rules if value]
    filters = {"Filter": {"Key": {"FilterRules": named}}} if named else {}
    return {"QueueArn": arn, "Events": list(events), **filters}


def notify(
    s3: Any, *configurations: dict[str, Any], eventbridge: bool = False, tried: bool = True
) -> None:
    """Configure the bucket's notifications; `tried` is S3's default."""
    bridge: dict[str, Any] = {"EventBridgeConfiguration": {}} if eventbridge else {}
    s3.put_bucket_notification_configuration(
        Bucket="static",
        NotificationConfiguration={"QueueConfigurations": list(configurations), **bridge},
        SkipDestinationValidation=not tried,
    )


def told(region: Region, count: int, name: str = "uploads") -> list[Any]:
    """Return what came into a queue, without S3's test message."""
    sqs = region.client("sqs")
    found: list[Any] = []
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    give_up_at = time.monotonic() + 10
    while len(found) < count:
        assert time.monotonic() < give_up_at, found
        answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MaxNumberOfMessages=10)
        bodies = [json.loads(message["Body"]) for message in answer.get("Messages", ())]
        found += [body for body in bodies if "Event" not in body]
    return found


CREATED, REMOVED = "s3:ObjectCreated:*", "s3:ObjectRemoved:*"


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ((CREATED, {}), (CREATED, {}), "Configurations overlap"),
        ((CREATED, {}), ("s3:ObjectCreated:Put", {}), "Configurations overlap"),
        ((CREATED, {}), (CREATED, {"suffix": ".jpg"}), "ambiguously defined"),
        ((CREATED, {"prefix": "a/"}), (CREATED, {"prefix": "a/b/"}), "ambiguously defined"),
        ((CREATED, {"prefix": "a/"}), (CREATED, {"suffix": ".jpg"}), "ambiguously defined"),
        ((CREATED, {"prefix": "a/"}), (CREATED, {"prefix": "b/"}), None),
        ((CREATED, {"suffix": ".png"}), (CREATED, {"suffix": ".jpg"}), None),
        ((CREATED, {}), (REMOVED, {}), None),
        (("s3:ObjectCreated:Put", {}), ("s3:ObjectCreated:Copy", {}), None),
    ],
)
def test_overlapping_notifications_are_refused(
    s3: Any, ours: tuple[str, dict[str, str]], theirs: tuple[str, dict[str, str]], words: str | None
) -> None:
    """S3 sends an event to one place at most, so it refuses what would make two of it."""
    notify(s3, to_queue(OTHER_ARN, theirs[0], **theirs[1]))
    both = (
        to_queue(OTHER_ARN, theirs[0], **theirs[1]),
        to_queue(QUEUE_ARN, ours[0], **ours[1]),
    )
    if words is None:
        notify(s3, *both)
        return
    with pytest.raises(ClientError, match=words) as refused:
        notify(s3, *both)
    assert refused.value.response["Error"]["Code"] == "InvalidArgument"
    kept = s3.get_bucket_notification_configuration(Bucket="static")["QueueConfigurations"]
    assert [one["QueueArn"] for one in kept] == [OTHER_ARN]


def statement(**changes: Any) -> dict[str, Any]:
    """Return the statement by which the queue lets the bucket in, with changes."""
    found: dict[str, Any] = json.loads(queue_policy(QUEUE_ARN, "static"))["Statement"][0]
    return {**found, **changes}


def let(region: Region, *statements: dict[str, Any]) -> None:
    """Give the uploads' queue a policy; without statements it has none."""
    sqs = region.client("sqs")
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements}) if statements else ""
    url = sqs.get_queue_url(QueueName="uploads")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})


OURS = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
ANY_BUCKET = {**OURS, "ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}}
OTHER_BUCKET = {**OURS, "ArnLike": {"aws:SourceArn": "arn:aws:s3:::static-2"}}
OTHER_ACCOUNT = {"StringEquals": {"aws:SourceAccount": "999999999999"}}
TLS = {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize(
    ("statements", "taken"),
    [
        ([], False),
        ([statement(Condition=OTHER_BUCKET)], False),
        ([statement(Condition=OTHER_ACCOUNT)], False),
        ([statement(Principal={"Service": "sns.amazonaws.com"})], False),
        ([statement(Principal={"AWS": ACCOUNT})], False),
        ([statement(Action="sqs:ReceiveMessage")], False),
        ([statement(Resource=OTHER_ARN)], False),
        ([statement(), statement(Effect="Deny", Principal="*")], False),
        ([statement(), statement(Effect="Deny", Principal="*", Condition=TLS)], True),
        ([statement(Condition=OTHER_BUCKET), statement()], True),
        ([statement(Condition=ANY_BUCKET)], True),
        ([statement(Condition=OURS, Principal="*")], True),
    ],
)
def test_a_queue_must_let_the_bucket_in(
    region: Region, s3: Any, statements: list[dict[str, Any]], taken: bool
) -> None:
    """S3 tries it while the notification is put, and keeps what was there before if it fails."""
    let(region, *statements)
    both = (to_queue(OTHER_ARN, REMOVED), to_queue(QUEUE_ARN, CREATED))
    if taken:
        notify(s3, *both)
        s3.put_object(Bucket="static", Key="a", Body=b"1")
        told(region, 1)
        return
    with pytest.raises(ClientError, match="validate the following destination conf") as refused:
        notify(s3, *both)
    assert refused.value.response["Error"]["Code"] == "InvalidArgument"
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket="static")


def test_a_policy_is_asked_when_something_is_sent(region: Region, s3: Any) -> None:
    """A notification may come before its queue's policy only untried; then nothing is told."""
    let(region)
    notify(s3, to_queue(QUEUE_ARN, CREATED), tried=False)
    s3.put_object(Bucket="static", Key="lost", Body=b"1")
    let(region, statement())
    s3.put_object(Bucket="static", Key="told", Body=b"1")
    (body,) = told(region, 1)
    assert body["Records"][0]["s3"]["object"]["key"] == "told"


def test_filters_come_back_as_s3_spells_them(s3: Any) -> None:
    """`Prefix`, whatever was written: who compares what is there must know."""
    notify(s3, to_queue(OTHER_ARN, CREATED, prefix="in/", suffix=".csv"))
    (one,) = s3.get_bucket_notification_configuration(Bucket="static")["QueueConfigurations"]
    assert {rule["Name"] for rule in one["Filter"]["Key"]["FilterRules"]} == {"Prefix", "Suffix"}


def test_a_queue_is_told_form_encoded_keys_in_order(region: Region, s3: Any) -> None:
    """`+` is a space, and of one key the sequencers grow, a removal's too."""
    notify(s3, to_queue(QUEUE_ARN, CREATED, REMOVED))
    s3.put_object(Bucket="static", Key=HARD, Body=b"1")
    s3.put_object(Bucket="static", Key=HARD, Body=b"2")
    s3.delete_object(Bucket="static", Key=HARD)
    records = [body["Records"][0] for body in told(region, 3)]
    records.sort(key=lambda record: record["s3"]["object"]["sequencer"])
    assert [record["eventName"] for record in records] == [
        "ObjectCreated:Put",
        "ObjectCreated:Put",
        "ObjectRemoved:Delete",
    ]
    for record in records:
        key = record["s3"]["object"]["key"]
        assert key.startswith("a+b%2B/%E8")
        assert unquote_plus(key) == HARD
        assert record["s3"]["object"]["sequencer"].startswith("00")


def test_a_delete_marker_removes(region: Region, s3: Any) -> None:
    """In a versioned bucket a delete is told by a name of its own."""
    s3.put_bucket_versioning(Bucket="static", VersioningConfiguration={"Status": "Enabled"})
    notify(s3, to_queue(QUEUE_ARN, REMOVED))
    s3.put_object(Bucket="static", Key="a", Body=b"1")
    s3.delete_object(Bucket="static", Key="a")
    (body,) = told(region, 1)
    assert body["Records"][0]["eventName"] == "ObjectRemoved:DeleteMarkerCreated"


def test_eventbridge_is_told_the_key_itself(region: Region, s3: Any) -> None:
    """Nothing is encoded, the time has whole seconds, the sequencer no zero byte before it."""
    events = region.client("events")
    events.put_rule(Name="uploads", EventPattern=json.dumps({"source": ["aws.s3"]}))
    events.put_targets(Rule="uploads", Targets=[{"Id": "1", "Arn": QUEUE_ARN}])
    notify(s3, eventbridge=True)
    s3.put_object(Bucket="static", Key=HARD, Body=b"1")
    s3.delete_object(Bucket="static", Key=HARD)
    made, removed = sorted(told(region, 2), key=lambda event: str(event["detail-type"]))
    assert (made["detail-type"], removed["detail-type"]) == ("Object Created", "Object Deleted")
    for event in (made, removed):
        assert event["detail"]["object"]["key"] == HARD
        assert not event["detail"]["object"]["sequencer"].startswith("00")
        assert "." not in event["time"]
