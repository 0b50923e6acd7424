"""What sounds for uploads: each alarm looks at what the functions really measure."""

import json
from io import StringIO

import pytest
from aws_lambda_powertools import Logger

from functions.adapters.telemetry import PowertoolsLog
from functions.adapters.upload_telemetry import EmfUploadMeasures
from functions.domain.sites import Sites
from tests.infra.template_reading import Template, alarm_named, everywhere, flat, function_named
from tests.infra.uploads.conftest import INVALIDATE
from tests.twins.upload_world import TwinUploadWorld, site


def test_an_old_upload_sounds_whatever_its_distribution(
    template: Template, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lines of the measures are counted again, above ten minutes."""
    pattern = counted(template, "holdstill-uploads-waiting")
    assert pattern == "{ $.OldestWaiting[0] > 600 }"
    measures(template).oldest_waiting("E1EXAMPLE", 601.0)
    (measured,) = json.loads(capsys.readouterr().out)["OldestWaiting"]
    assert measured == 601
    assert alarm_named(template, "holdstill-uploads-waiting")["TreatMissingData"] == "notBreaching"


def test_a_sweep_that_does_not_run_any_more_sounds(template: Template) -> None:
    """Its own lines are listened for: whoever else starts the function writes none of them."""
    name = "holdstill-invalidate-silent"
    alarm = alarm_named(template, name)
    assert alarm["TreatMissingData"] == "breaching"
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 300
    pattern = pattern_of(template, name)
    lines = StringIO()
    world = TwinUploadWorld(Sites.of([site()]))
    logger = Logger("a-sweep-that-does-not-run", level="INFO", stream=lines)
    world.log = PowertoolsLog(logger)  # type: ignore[assignment]
    world.come("shop-bucket", "a.png")
    world.clock.sleep(59)
    assert '"invalidation-asked"' in lines.getvalue()
    assert pattern not in patterns(lines)
    world.clock.sleep(1)
    assert pattern in patterns(lines)


def test_a_message_that_nobody_reads_sounds(template: Template) -> None:
    """It is in no row yet, and four days later it is gone."""
    alarm = alarm_named(template, "holdstill-uploads-uncollected")
    assert alarm["MetricName"] == "ApproximateAgeOfOldestMessage"
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": "holdstill-uploads"}]
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Maximum", 600)
    assert alarm["TreatMissingData"] == "notBreaching"


def test_a_path_that_is_set_aside_sounds(
    template: Template, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody sees by themselves that a file is shown as it was."""
    assert counted(template, "holdstill-paths-set-aside") == "{ $.PathsSetAside[0] > 0 }"
    measures(template).set_aside("E1EXAMPLE", 1)
    assert json.loads(capsys.readouterr().out)["PathsSetAside"] == [1]


def test_a_site_with_a_cap_sounds_at_four_fifths_of_it(
    template: Template, capsys: pytest.CaptureFixture[str]
) -> None:
    """The alarm has the metric's own dimensions; days without an upload change nothing."""
    measures(template).spent("static", 4.0, 0.8)
    line = json.loads(capsys.readouterr().out)
    alarm = alarm_named(template, "holdstill-site-static-cap")
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert alarm["MetricName"] in {metric["Name"] for metric in directive["Metrics"]}
    assert alarm["Namespace"] == directive["Namespace"]
    assert {entry["Name"]: entry["Value"] for entry in alarm["Dimensions"]} == {
        name: line[name] for name in directive["Dimensions"][0]
    }
    assert (alarm["ComparisonOperator"], alarm["Threshold"], alarm["Statistic"]) == (
        "GreaterThanOrEqualToThreshold",
        0.8,
        "Maximum",
    )
    assert alarm["TreatMissingData"] == "ignore"
    names = {found["AlarmName"] for found in everywhere({"": template}, "AWS::CloudWatch::Alarm")}
    assert "holdstill-site-shop-cap" not in names


def measures(template: Template) -> EmfUploadMeasures:
    """Return the measures as the function makes them from its environment."""
    variables = function_named(template, INVALIDATE)["Environment"]["Variables"]
    return EmfUploadMeasures(
        variables["POWERTOOLS_SERVICE_NAME"], variables["POWERTOOLS_METRICS_NAMESPACE"]
    )


def patterns(lines: StringIO) -> list[str]:
    """Return for each line of a log the pattern by which it is counted."""
    messages = [json.loads(line)["message"] for line in lines.getvalue().splitlines()]
    return [f'{{ $.message = "{message}" }}' for message in messages]


def counted(template: Template, alarm_name: str) -> str:
    """Return which lines of the function's log group are counted for an alarm above none."""
    alarm = alarm_named(template, alarm_name)
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
    return pattern_of(template, alarm_name)


def pattern_of(template: Template, alarm_name: str) -> str:
    """Return which lines of the function's log group are counted for an alarm."""
    alarm = alarm_named(template, alarm_name)
    group = flat(function_named(template, INVALIDATE)["LoggingConfig"]["LogGroup"])
    patterns = [
        found["FilterPattern"]
        for found in everywhere({"": template}, "AWS::Logs::MetricFilter")
        for made in found["MetricTransformations"]
        if (made["MetricNamespace"], made["MetricName"])
        == (alarm["Namespace"], alarm["MetricName"])
        and flat(found["LogGroupName"]) == group
    ]
    (pattern,) = patterns
    return str(pattern)
