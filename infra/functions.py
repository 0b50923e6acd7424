"""A Lambda function of ours: its role, its log group, and an alarm on its errors."""

from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra import alarms, naming, permissions
from infra.asset import Asset
from infra.permissions import Statement

_EVENT_AGE_S: Final = 300
"""An event that waited longer than this for the function is stale: a backup out of its hour."""


class Function(Construct):
    """One Lambda function, with its `arn`, role and `log_group` for others to refer to."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        service: str,
        handler: str,
        asset: Asset,
        memory_mb: int,
        timeout_s: int,
        statements: Sequence[Statement],
        environment: Mapping[str, str],
        dead_letters_arn: str | None = None,
        policies: Sequence[str] = (),
    ) -> None:
        """`policies`: ARNs of managed ones, for what is too much for the role's own."""
        super().__init__(scope, construct_id)
        log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=naming.log_group(name),
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=RemovalPolicy.DESTROY,
        )
        granted = [*statements, *permissions.log(name)]
        if dead_letters_arn:
            granted.append(permissions.allow(permissions.SEND, [dead_letters_arn]))
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            inline_policies={"run": iam.PolicyDocument.from_json(permissions.document(granted))},
            managed_policies=[
                iam.ManagedPolicy.from_managed_policy_arn(self, f"Policy{number}", policy)
                for number, policy in enumerate(policies)
            ],
        )
        function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            code=lambda_.Code.from_asset(str(asset.folder), asset_hash=asset.digest),
            handler=handler,
            memory_size=memory_mb,
            timeout=Duration.seconds(timeout_s),
            role=role.without_policy_updates(),
            log_group=log_group,
            environment={
                "HOLDSTILL_TABLE": naming.TABLE,
                "POWERTOOLS_SERVICE_NAME": service,
                "POWERTOOLS_METRICS_NAMESPACE": naming.METRICS,
                "POWERTOOLS_LOG_LEVEL": "INFO",
                **environment,
            },
        )
        # Repeating a run is the conductor's own decision, never Lambda's.
        on_failure = {"onFailure": {"destination": dead_letters_arn}}
        lambda_.CfnEventInvokeConfig(
            self,
            "Invocations",
            function_name=function.function_name,
            qualifier="$LATEST",
            maximum_retry_attempts=0,
            maximum_event_age_in_seconds=_EVENT_AGE_S,
            destination_config=on_failure if dead_letters_arn else None,
        )
        alarms.sounds_above_zero(
            self,
            "Errors",
            name=f"{name}-errors",
            description=f"{name} ended with an error: see the log group {naming.log_group(name)}",
            namespace="AWS/Lambda",
            metric="Errors",
            dimensions={"FunctionName": name},
        )
        self.log_group = log_group
        self.arn = function.function_arn
        self.role_arn = role.role_arn
        self.role_name = role.role_name

    def read(self, queue: sqs.CfnQueue, *, batch_size: int, at_once: int) -> None:
        """Let Lambda give it the queue's messages, in batches, to so many of it at once.

        The bound is the event source's own: where a function is throttled instead, each refused
        attempt counts as a receive, and messages that nobody tried to read end as dead letters.
        """
        lambda_.CfnEventSourceMapping(
            self,
            "Messages",
            event_source_arn=queue.attr_arn,
            function_name=self.arn,
            batch_size=batch_size,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config={"maximumConcurrency": at_once},
        )
