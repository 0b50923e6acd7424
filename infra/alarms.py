"""The alarms, all told to one topic whose name is known beforehand."""

from collections.abc import Mapping
from typing import Any, Literal

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra import naming, permissions


def sounds_above_zero(
    scope: Construct,
    construct_id: str,
    *,
    name: str,
    description: str,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, str],
    statistic: Literal["Sum", "Maximum"] = "Sum",
) -> cloudwatch.CfnAlarm:
    """Make an alarm that sounds when a metric was above zero in the last five minutes."""
    return sounds_above(
        scope,
        construct_id,
        name=name,
        description=description,
        namespace=namespace,
        metric=metric,
        dimensions=dimensions,
        statistic=statistic,
        threshold=0,
    )


def sounds_above(
    scope: Construct,
    construct_id: str,
    *,
    name: str,
    description: str,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, str],
    statistic: Literal["Sum", "Maximum"],
    threshold: float,
) -> cloudwatch.CfnAlarm:
    """Make an alarm that sounds when a metric was above a threshold in the last five minutes."""
    return _alarm(
        scope,
        construct_id,
        name=name,
        description=description,
        namespace=namespace,
        metric_name=metric,
        dimensions=dimensions,
        statistic=statistic,
        comparison_operator="GreaterThanThreshold",
        threshold=threshold,
        treat_missing_data="notBreaching",
    )


def sounds_without_backup(
    scope: Construct, construct_id: str, *, target: str, max_age_hours: int
) -> cloudwatch.CfnAlarm:
    """Make an alarm that sounds when no run of the target was consistent for so many hours.

    Hours without a run report nothing, and count as hours without a consistent run. CloudWatch
    looks back seven days at most with periods of an hour.
    """
    return _alarm(
        scope,
        construct_id,
        name=f"{naming.PREFIX}-{target}-age",
        description=f"{target} has no consistent snapshot of the last {max_age_hours} h",
        namespace=naming.METRICS,
        metric_name="RunsConsistent",
        dimensions={"service": naming.BACKUP_SERVICE, "target": target},
        statistic="Sum",
        period=3600,
        evaluation_periods=max_age_hours,
        comparison_operator="LessThanThreshold",
        threshold=1,
        treat_missing_data="breaching",
    )


def sounds_for_lines(
    scope: Construct,
    construct_id: str,
    *,
    name: str,
    description: str,
    log_group: logs.ILogGroup,
    lines: str,
    metric: str,
) -> cloudwatch.CfnAlarm:
    """Make an alarm that sounds for any such line of a log, counted as a metric of its own."""
    _count(scope, construct_id, log_group=log_group, lines=lines, metric=metric)
    return sounds_above_zero(
        scope,
        construct_id,
        name=name,
        description=description,
        namespace=naming.METRICS,
        metric=metric,
        dimensions={},
    )


def sounds_without_lines(
    scope: Construct,
    construct_id: str,
    *,
    name: str,
    description: str,
    log_group: logs.ILogGroup,
    lines: str,
    metric: str,
) -> cloudwatch.CfnAlarm:
    """Make an alarm that sounds when there was no such line in a log for five minutes.

    Nothing is reported of a minute without one: silence is what it listens for. After a first
    deployment it may sound until the first line.
    """
    _count(scope, construct_id, log_group=log_group, lines=lines, metric=metric)
    return _alarm(
        scope,
        construct_id,
        name=name,
        description=description,
        namespace=naming.METRICS,
        metric_name=metric,
        dimensions={},
        statistic="Sum",
        comparison_operator="LessThanThreshold",
        threshold=1,
        treat_missing_data="breaching",
    )


def sounds_near_cap(
    scope: Construct, construct_id: str, *, site: str, cap_usd: float
) -> cloudwatch.CfnAlarm:
    """Make an alarm that sounds when 80 % of a site's monthly cap is spent.

    The share is measured as paths are used. Days without an upload report nothing and leave the
    alarm as it is: one message a month, not one for each folder that is uploaded.
    """
    return _alarm(
        scope,
        construct_id,
        name=f"{naming.PREFIX}-site-{site}-cap",
        description=f"{site} has spent 80 % of its {cap_usd:g} USD for paths of this month",
        namespace=naming.METRICS,
        metric_name="SpentShareOfCap",
        dimensions={"service": naming.INVALIDATE, "site": site},
        statistic="Maximum",
        comparison_operator="GreaterThanOrEqualToThreshold",
        threshold=0.8,
        treat_missing_data="ignore",
    )


def _count(
    scope: Construct, construct_id: str, *, log_group: logs.ILogGroup, lines: str, metric: str
) -> None:
    logs.CfnMetricFilter(
        scope,
        f"{construct_id}Filter",
        log_group_name=log_group.log_group_name,
        filter_pattern=lines,
        metric_transformations=[
            {"metricNamespace": naming.METRICS, "metricName": metric, "metricValue": "1"}
        ],
    )


def _alarm(
    scope: Construct,
    construct_id: str,
    *,
    name: str,
    description: str,
    dimensions: Mapping[str, str],
    period: int = 300,
    evaluation_periods: int = 1,
    **properties: Any,
) -> cloudwatch.CfnAlarm:
    return cloudwatch.CfnAlarm(
        scope,
        construct_id,
        alarm_name=name,
        alarm_description=description,
        alarm_actions=[permissions.arn("sns", naming.ALARM_TOPIC)],
        dimensions=[{"name": key, "value": value} for key, value in dimensions.items()],
        period=period,
        evaluation_periods=evaluation_periods,
        **properties,
    )
