"""A bucket that tells of its changes, direct and by EventBridge, made for the probe and deleted."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from lab.interrupts import uninterrupted
from lab.live_probe.place import FAILURES

_PATIENCE_S, _PAUSE_S = 60.0, 5.0
_WAYS = {"direct": "s3", "bridged": "events"}


@dataclass(frozen=True, slots=True)
class Clients:
    """boto3's clients of one Region."""

    s3: Any
    sqs: Any
    events: Any
    region: str


@dataclass(slots=True)
class Listening:
    """A bucket and a rule called `name`; the queues `direct` and `bridged` by their URLs."""

    clients: Clients
    name: str
    queues: dict[str, str] = field(default_factory=dict)

    def make(self) -> None:
        """Make all of it. Raise ClientError; then `remove` what there is."""
        here = {"LocationConstraint": self.clients.region}
        plain = self.clients.region == "us-east-1"  # whose name S3 refuses to be given
        where = {} if plain else {"CreateBucketConfiguration": here}
        self.clients.s3.create_bucket(Bucket=self.name, **where)
        for way in _WAYS:
            with uninterrupted():  # a queue whose URL is lost is not deleted
                made = self.clients.sqs.create_queue(QueueName=f"{self.name}-{way}")
                self.queues[way] = made["QueueUrl"]
        rule = self.clients.events.put_rule(
            Name=self.name,
            EventPattern=json.dumps(
                {"source": ["aws.s3"], "detail": {"bucket": {"name": [self.name]}}}
            ),
        )
        self._allow("direct", f"arn:aws:s3:::{self.name}")
        self._allow("bridged", rule["RuleArn"])
        target = {"Id": "queue", "Arn": self.arn("bridged")}
        self.clients.events.put_targets(Rule=self.name, Targets=[target])
        self._configure_patiently()

    def configure(self, *ids: str) -> None:
        """Give the bucket a notification of every creation for each id. Raise ClientError."""
        one = {"QueueArn": self.arn("direct"), "Events": ["s3:ObjectCreated:*"]}
        self.clients.s3.put_bucket_notification_configuration(
            Bucket=self.name,
            NotificationConfiguration={
                "QueueConfigurations": [{"Id": name, **one} for name in ids],
                "EventBridgeConfiguration": {},
            },
        )

    def _configure_patiently(self) -> None:
        """S3 tries the queue, whose new policy is not known everywhere at once."""
        until_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self.configure("a")
            except ClientError as error:
                if "validate" not in str(error) or time.monotonic() > until_s:
                    raise
                time.sleep(_PAUSE_S)
            else:
                return

    def put(self, key: str) -> float:
        """Write an object; return this machine's time of its answer, by the monotonic clock."""
        self.clients.s3.put_object(Bucket=self.name, Key=key, Body=b"probe")
        return time.monotonic()

    def received(self, way: str, within_s: float) -> Iterator[tuple[str, float]]:
        """Yield each message's body and when it was received, until nobody wants more."""
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s:
            answer = self.clients.sqs.receive_message(
                QueueUrl=self.queues[way], MaxNumberOfMessages=10, WaitTimeSeconds=2
            )
            for message in answer.get("Messages", []):
                yield message["Body"], time.monotonic()
                self.clients.sqs.delete_message(
                    QueueUrl=self.queues[way], ReceiptHandle=message["ReceiptHandle"]
                )

    def remove(self) -> list[str]:
        """Delete all of it; return what could not be deleted, and why: also what was stopped."""
        steps: list[tuple[str, Callable[[], None]]] = [
            (f"bucket {self.name}", self._delete_bucket),
            (f"rule {self.name}", self._delete_rule),
            (f"queues {self.name}-*", self._delete_queues),
        ]
        left = []
        for what, delete in steps:
            try:
                delete()
            except FAILURES as error:
                if "NoSuch" not in str(error) and "NotFound" not in str(error):
                    left.append(f"{what}: {error}")
            except KeyboardInterrupt:
                left.append(f"{what}: stopped meanwhile")
        return left

    def arn(self, way: str) -> str:
        """Return a queue's ARN."""
        answer: dict[str, dict[str, str]] = self.clients.sqs.get_queue_attributes(
            QueueUrl=self.queues[way], AttributeNames=["QueueArn"]
        )
        return answer["Attributes"]["QueueArn"]

    def _allow(self, way: str, source_arn: str) -> None:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": f"{_WAYS[way]}.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": self.arn(way),
            "Condition": {"ArnEquals": {"aws:SourceArn": source_arn}},
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        self.clients.sqs.set_queue_attributes(
            QueueUrl=self.queues[way], Attributes={"Policy": json.dumps(policy)}
        )

    def _delete_bucket(self) -> None:
        s3 = self.clients.s3
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=self.name):
            for one in page.get("Contents", []):
                s3.delete_object(Bucket=self.name, Key=one["Key"])
        s3.delete_bucket(Bucket=self.name)

    def _delete_rule(self) -> None:
        self.clients.events.remove_targets(Rule=self.name, Ids=["queue"])
        self.clients.events.delete_rule(Name=self.name)

    def _delete_queues(self) -> None:
        for url in self.queues.values():
            self.clients.sqs.delete_queue(QueueUrl=url)
