"""Buckets that others use, and a stack with our notifications, in versions for the real CDK."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import App, CfnOutput, CustomResource, Stack

from functions.domain.site import EventSource, Site
from infra.asset import build_asset
from infra.notifications import NAME, RESOURCE, add_notifications, queue_statements
from infra.permissions import arn
from infra.queues import guarded_queue
from lab.bucket_events import queue_policy
from lab.deploy import ROOT, Cdk
from lab.emulator import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.asset import Asset
    from lab.region import Region

SHARED, PLAIN = "example-shared", "example-plain"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:thumbnails"
STACK = "notified"
NO_BUCKET = "Bucket, Events, QueueArn, Prefixes"
"""What the handler says of the resource that cannot be made."""


class Buckets:
    """The buckets of the tests, as others made them."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self.s3 = region.client("s3", s3={"addressing_style": "path"})
        queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:others"
        policy = {"Policy": queue_policy(queue, SHARED)}
        region.client("sqs").create_queue(QueueName="others", Attributes=policy)
        topic = region.client("sns").create_topic(Name="others")["TopicArn"]
        for bucket in (SHARED, PLAIN):
            self.s3.create_bucket(
                Bucket=bucket,
                CreateBucketConfiguration={"LocationConstraint": REGION},
            )
        prefix = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "raw/"}]}}
        suffix = {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".psd"}]}}
        self.s3.put_bucket_notification_configuration(
            Bucket=SHARED,
            NotificationConfiguration={
                "QueueConfigurations": [
                    {
                        "Id": "theirs",
                        "QueueArn": queue,
                        "Events": ["s3:ObjectCreated:*"],
                        "Filter": prefix,
                    },
                ],
                "TopicConfigurations": [
                    {"TopicArn": topic, "Events": ["s3:ObjectTagging:*"], "Filter": suffix},
                ],
                "LambdaFunctionConfigurations": [
                    {"Id": "acl", "LambdaFunctionArn": FUNCTION, "Events": ["s3:ObjectAcl:Put"]},
                ],
                "EventBridgeConfiguration": {},
            },
        )
        self.others = {bucket: self.of(bucket) for bucket in (SHARED, PLAIN)}

    def of(self, bucket: str) -> dict[str, Any]:
        """Return a bucket's notifications."""
        answer: dict[str, Any] = self.s3.get_bucket_notification_configuration(Bucket=bucket)
        del answer["ResponseMetadata"]
        return answer

    def ours(self, bucket: str) -> list[str]:
        """Return the ids of our notifications of a bucket."""
        found = self.of(bucket).get("QueueConfigurations", [])
        return [queue["Id"] for queue in found if queue["Id"].startswith("holdstill-")]

    def untouched(self) -> bool:
        """Return whether all is as others made it, and nothing else is there."""
        return self.others == {bucket: self.of(bucket) for bucket in self.others}

    def others_untouched(self) -> bool:
        """Return whether all is as others made it, beside ours."""
        for bucket, before in self.others.items():
            now = self.of(bucket)
            queues = now.get("QueueConfigurations", [])
            theirs = [queue for queue in queues if not queue["Id"].startswith("holdstill-")]
            if theirs != before.get("QueueConfigurations", []):
                return False
            if any(now.get(name) != before[name] for name in before if name[0] != "Q"):
                return False
        return True

    def heard(self, queue_url: str, *keys: str) -> bool:
        """Put objects; return whether the queue hears of just these."""
        sqs = self.region.client("sqs")
        sqs.purge_queue(QueueUrl=queue_url)
        for bucket, key in ((SHARED, "shop/a"), (SHARED, "logs/b"), (PLAIN, "c")):
            self.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        heard: set[str] = set()
        while found := sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1
        ).get("Messages"):
            for message in found:
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                heard.update(_keys(json.loads(message["Body"])))
        return heard == set(keys)


def _keys(body: dict[str, Any]) -> list[str]:
    if "detail" in body:
        return [body["detail"]["object"]["key"]]
    return [record["s3"]["object"]["key"] for record in body.get("Records", [])]


def shop(events: EventSource = EventSource.S3) -> Site:
    """Return a site of a folder of the bucket that others use."""
    return Site("shop", SHARED, ("E1EXAMPLE",), "/shop", events=events)


def plain(events: EventSource = EventSource.S3) -> Site:
    """Return a site of all of the bucket that nobody uses."""
    return Site("plain", PLAIN, ("E2EXAMPLE",), events=events)


def _add_stack(
    app: App, version: str, wanted: Sequence[Site], asset: Asset, *, fails: bool
) -> None:
    """Add a version of the stack: with one more resource at its end, `fails`, it cannot be made."""
    stack = Stack(app, version, stack_name=STACK)
    queue = guarded_queue(
        stack,
        "Uploads",
        name="holdstill-uploads",
        retention_s=3600,
        guards=lambda queue_arn: queue_statements(wanted, queue_arn),
    )
    add_notifications(stack, sites=wanted, queue=queue, asset=asset)
    CfnOutput(stack, "QueueUrl", value=queue.ref)
    if fails:
        made = [child for child in stack.node.children if isinstance(child, CustomResource)]
        broken = CustomResource(
            stack,
            "Broken",
            service_token=arn("lambda", f"function:{NAME}"),
            resource_type=RESOURCE,
        )
        broken.node.add_dependency(*made)


def synthesized(region: Region, versions: Mapping[str, Sequence[Site]], *broken: str) -> Cdk:
    """Synthesize all versions of the stack at once: Node.js takes seconds to start.

    Those named are there a second time, as `NAME-broken`, which cannot be made. Bootstraps too.
    """
    folder = region.workdir / "cdk.out"
    app = App(outdir=str(folder), analytics_reporting=False)
    asset = build_asset(ROOT)
    for version, wanted in versions.items():
        _add_stack(app, version, wanted, asset, fails=False)
    for version in broken:
        _add_stack(app, f"{version}-broken", versions[version], asset, fails=True)
    app.synth()
    cdk = Cdk(region, app_dir=region.workdir, app=str(folder))
    cdk.bootstrap()
    return cdk
