"""EventBridge schedules: what starts a function, and as whom."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from infra import permissions
from infra.permissions import Statement

_RETRY_AGE_S: Final = 300
"""How long Scheduler goes on trying to start a run: later it would be another run's time."""
_RETRIES: Final = 5


def starting_role(scope: Construct, construct_id: str, statements: Sequence[Statement]) -> iam.Role:
    """Make the role as which Scheduler starts functions, for this account's schedules alone."""
    return iam.Role(
        scope,
        construct_id,
        assumed_by=iam.ServicePrincipal(
            "scheduler.amazonaws.com",
            conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
        ),
        inline_policies={"start": iam.PolicyDocument.from_json(permissions.document(statements))},
    )


def schedule(
    scope: Construct,
    construct_id: str,
    *,
    name: str,
    expression: str,
    timezone: str,
    function_arn: str,
    role_arn: str,
    message: str | None = None,
    dead_letters_arn: str | None = None,
) -> scheduler.CfnSchedule:
    """Make a schedule that starts the function at the minute, with `message` as its event."""
    return scheduler.CfnSchedule(
        scope,
        construct_id,
        name=name,
        schedule_expression=expression,
        schedule_expression_timezone=timezone,
        flexible_time_window={"mode": "OFF"},
        target={
            "arn": function_arn,
            "roleArn": role_arn,
            "input": message,
            "retryPolicy": {
                "maximumEventAgeInSeconds": _RETRY_AGE_S,
                "maximumRetryAttempts": _RETRIES,
            },
            "deadLetterConfig": {"arn": dead_letters_arn} if dead_letters_arn else None,
        },
    )
