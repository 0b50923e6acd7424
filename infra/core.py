"""The core stack: the table, the sweep, and the topic that all alarms are told to."""

from typing import Final

from aws_cdk import Aws, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra import alarms, naming, permissions
from infra.asset import Asset
from infra.functions import Function
from infra.schedules import schedule, starting_role

_SWEEP_MEMORY_MB: Final = 512
_SWEEP_TIMEOUT_S: Final = 240
_ABANDONED_ANYWHERE: Final = "RunsAbandonedAnywhere"


class CoreStack(Stack):
    """What there is once, whatever the number of targets."""

    def __init__(self, scope: Construct, *, asset: Asset, alarm_email: str | None) -> None:
        super().__init__(scope, naming.CORE_STACK, description="Holdstill: runs, sweep and alarms")
        self._table()
        self._topic(alarm_email)
        self._sweep(asset)

    def _table(self) -> None:
        table = dynamodb.Table(
            self,
            "Table",
            table_name=naming.TABLE,
            partition_key=_string("pk"),
            sort_key=_string("sk"),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute=naming.TABLE_TTL,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
        )
        # Sparse: only a run that has not ended carries these two attributes.
        table.add_global_secondary_index(
            index_name=naming.OPEN_RUNS_INDEX,
            partition_key=_string("open_pk"),
            sort_key=_string("open_sk"),
        )

    def _topic(self, alarm_email: str | None) -> None:
        topic = sns.Topic(self, "Alarms", topic_name=naming.ALARM_TOPIC, enforce_ssl=True)
        # A topic with a policy of its own has lost the default one, which lets alarms publish.
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        if alarm_email:
            sns.CfnSubscription(
                self, "Email", topic_arn=topic.topic_arn, protocol="email", endpoint=alarm_email
            )

    def _sweep(self, asset: Asset) -> None:
        sweep = Function(
            self,
            "Sweep",
            name=naming.SWEEP,
            service=naming.SWEEP,
            handler="functions.sweep.handler",
            asset=asset,
            memory_mb=_SWEEP_MEMORY_MB,
            timeout_s=_SWEEP_TIMEOUT_S,
            statements=permissions.sweep(),
            environment={},
        )
        role = starting_role(self, "SweepStart", permissions.start(sweep.arn))
        schedule(
            self,
            "SweepSchedule",
            name=naming.SWEEP,
            expression="rate(5 minutes)",
            timezone="UTC",
            function_arn=sweep.arn,
            role_arn=role.role_arn,
        )
        self._abandoned(sweep.log_group)

    def _abandoned(self, log_group: logs.ILogGroup) -> None:
        """Sound for every target at once: RunsAbandoned has a dimension for each of them.

        So the sweep's lines are counted again, without dimensions. A Metrics Insights query over
        all targets would do the same for more money, a minute later.
        """
        alarms.sounds_for_lines(
            self,
            "Abandoned",
            name=f"{naming.PREFIX}-runs-abandoned",
            description="A conductor died in the middle of a run: the sweep ended the run",
            log_group=log_group,
            lines="{ $.RunsAbandoned[0] > 0 }",
            metric=_ABANDONED_ANYWHERE,
        )


def _string(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
