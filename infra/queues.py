"""A queue that only its own people can use."""

from collections.abc import Callable, Sequence
from typing import Final

from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra import permissions
from infra.permissions import Statement

MAX_RECEIVES: Final = 3
DEAD_LETTER_RETENTION_S: Final = 14 * 24 * 3600
"""SQS's own maximum: a dead letter is for a person to read."""


def guarded_queue(
    scope: Construct,
    construct_id: str,
    *,
    name: str,
    retention_s: int,
    visibility_s: int = 30,
    dead_letters_arn: str | None = None,
    guards: Callable[[str], Sequence[Statement]] = lambda _: (),
) -> sqs.CfnQueue:
    """Make a queue, encrypted by SQS and closed to plain HTTP, with the guards for its ARN.

    With `dead_letters_arn`, what was received three times and never deleted goes there.
    """
    redrive = {"deadLetterTargetArn": dead_letters_arn, "maxReceiveCount": MAX_RECEIVES}
    queue = sqs.CfnQueue(
        scope,
        construct_id,
        queue_name=name,
        message_retention_period=retention_s,
        visibility_timeout=visibility_s,
        sqs_managed_sse_enabled=True,
        redrive_policy=redrive if dead_letters_arn else None,
    )
    arn = queue.attr_arn
    sqs.CfnQueuePolicy(
        scope,
        f"{construct_id}Policy",
        queues=[queue.ref],
        policy_document=permissions.document([permissions.tls_only(arn), *guards(arn)]),
    )
    return queue
