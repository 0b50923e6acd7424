"""The notifications of buckets that exist already: who puts them, and what lets them in."""

import hashlib
from collections.abc import Sequence
from typing import Final

from aws_cdk import Aws, CustomResource, Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct, IConstruct

from functions.domain.notified_buckets import Wanted
from functions.domain.site import EventSource, Site
from infra import naming, permissions
from infra.asset import Asset
from infra.functions import Function
from infra.permissions import Statement

NAME: Final = f"{naming.PREFIX}-bucket-notifications"
RESOURCE: Final = "Custom::HoldstillNotifications"

_RULES: Final = f"{naming.PREFIX}-uploads-"
_BUCKETS_OF_A_RULE: Final = 25
"""An event pattern has at most 2,048 characters, a bucket's name 63."""
_NAMED_BYTES: Final = 4_000
"""A queue's policy has at most 8,192 bytes."""
_POLICIES: Final = 25
"""All inline policies of a role have 10,240 characters at most, and each of these some 300."""
_MEMORY_MB: Final = 256
_TIMEOUT_S: Final = 240
_SERVICE_TIMEOUT_S: Final = 300
"""For a function that died without an answer: CloudFormation would else wait for an hour."""


def queue_statements(sites: Sequence[Site], queue_arn: str) -> list[Statement]:
    """Let the sites' buckets, and EventBridge for them, send to the queue.

    S3 tries it while a notification is put: the queue's policy must be there before. Both may,
    whatever `events` says: a change of it updates this policy first, while the other still tells.
    """
    if not sites:
        return []
    buckets = sorted({site.bucket for site in sites})
    rules = permissions.arn("events", f"rule/{_RULES}*")
    return [
        _let("s3.amazonaws.com", queue_arn, _buckets(buckets)),
        _let("events.amazonaws.com", queue_arn, [rules]),
    ]


def add_notifications(
    scope: Construct, *, sites: Sequence[Site], queue: sqs.CfnQueue, asset: Asset
) -> None:
    """Add our notifications to the sites' buckets, and take them out with the stack.

    The queue is one of `guarded_queue`, with `queue_statements` among its guards.
    """
    if not sites:
        return
    everything = _wanted(sites, queue.attr_arn)
    function = Function(
        scope,
        "BucketNotifications",
        name=NAME,
        service=NAME,
        handler="functions.bucket_notifications.handler",
        asset=asset,
        memory_mb=_MEMORY_MB,
        timeout_s=_TIMEOUT_S,
        statements=[],
        environment={},
    )
    rights = _rights(scope, [want.bucket for want in everything], function.role_name)
    rules = _add_rules(
        scope,
        [want.bucket for want in everything if want.events is EventSource.EVENTBRIDGE],
        queue.attr_arn,
    )
    for want in everything:
        resource = CustomResource(
            scope,
            f"Notifications{_short(want.bucket)}",
            service_token=function.arn,
            resource_type=RESOURCE,
            properties=want.to_properties(),
            service_timeout=Duration.seconds(_SERVICE_TIMEOUT_S),
        )
        resource.node.add_dependency(function, rights[want.bucket], _policy_of(queue), *rules)


def _wanted(sites: Sequence[Site], queue_arn: str) -> list[Wanted]:
    buckets = sorted({site.bucket for site in sites})
    return [
        Wanted.of([site for site in sites if site.bucket == bucket], queue_arn)
        for bucket in buckets
    ]


def _add_rules(scope: Construct, buckets: Sequence[str], queue_arn: str) -> list[events.CfnRule]:
    return [
        events.CfnRule(
            scope,
            f"Rule{number}",
            name=f"{_RULES}{number}",
            description="Tells Holdstill of uploads to buckets whose own notifications are taken",
            event_pattern={
                "source": ["aws.s3"],
                "account": [Aws.ACCOUNT_ID],
                "detail-type": ["Object Created", "Object Deleted"],  # expirations are deletions
                "detail": {"bucket": {"name": list(buckets[start : start + _BUCKETS_OF_A_RULE])}},
            },
            targets=[events.CfnRule.TargetProperty(id="uploads", arn=queue_arn)],
        )
        for number, start in enumerate(range(0, len(buckets), _BUCKETS_OF_A_RULE), 1)
    ]


def _policy_of(queue: sqs.CfnQueue) -> IConstruct:
    """Return the policy that `guarded_queue` made beside the queue. Raise LookupError."""
    beside = queue.node.scope
    policy = beside and beside.node.try_find_child(f"{queue.node.id}Policy")
    if policy is None:
        raise LookupError(f"{queue.node.path} has no policy beside it")
    return policy


def _rights(scope: Construct, buckets: Sequence[str], role_name: str) -> dict[str, iam.CfnPolicy]:
    """Give the function each bucket by a policy of its own; return which to depend on.

    When a bucket is taken out, CloudFormation deletes its notifications after the rest is updated
    and before what they depend on: were the rights all in one policy, they would be gone by then.
    """
    if len(buckets) > _POLICIES:
        return dict.fromkeys(buckets, _policy(scope, "Any", ["*"], role_name))
    return {bucket: _policy(scope, _short(bucket), [bucket], role_name) for bucket in buckets}


def _policy(scope: Construct, name: str, buckets: Sequence[str], role_name: str) -> iam.CfnPolicy:
    actions = ["s3:GetBucketLocation", "s3:GetBucketNotification", "s3:PutBucketNotification"]
    own = {"StringEquals": {"aws:ResourceAccount": Aws.ACCOUNT_ID}}
    statement = permissions.allow(actions, list(map(_bucket_arn, buckets)), own)
    return iam.CfnPolicy(
        scope,
        f"NotificationsRights{name}",
        policy_name=f"notifications-{name}",
        roles=[role_name],
        policy_document=permissions.document([statement]),
    )


def _let(service: str, queue_arn: str, source_arns: Sequence[str]) -> Statement:
    return {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": list(permissions.SEND),
        "Resource": queue_arn,
        "Condition": {
            "ArnLike": {"aws:SourceArn": list(source_arns)},
            "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
        },
    }


def _buckets(buckets: Sequence[str]) -> list[str]:
    """Return the buckets' ARNs; where the queue's policy has no room for them, any bucket's.

    The account is a further condition.
    """
    arns = [_bucket_arn(bucket) for bucket in buckets]
    fit = sum(len(f'"arn:aws-us-gov:s3:::{bucket}",') for bucket in buckets) <= _NAMED_BYTES
    return arns if fit else [_bucket_arn("*")]


def _bucket_arn(bucket: str) -> str:
    return f"arn:{Aws.PARTITION}:s3:::{bucket}"


def _short(bucket: str) -> str:
    """Return what a logical id may have of a bucket's name, and no two buckets have alike."""
    return hashlib.sha256(bucket.encode()).hexdigest()[:12]
