"""The functions as they are deployed: what they run, as whom, and what tells of their failure."""

import json
from importlib import import_module

import pytest

from functions.adapters.telemetry import EmfMeasures
from functions.run import RESERVE_MS, longest_ms, patience_of
from functions.settings import (
    BackupSettings,
    SweepSettings,
    UploadSettings,
)
from infra import naming
from infra.configuration import sections
from tests.infra.template_reading import (
    Resource,
    Template,
    Templates,
    alarm_named,
    everywhere,
    flat,
    fleet_of,
    function_named,
    grants,
    identity_statements,
    of_type,
    queue_id,
    the_function,
)

TARGET = "recipes-db"
FLEET = naming.fleet_of(TARGET)


@pytest.fixture
def fleet(templates: Templates) -> Template:
    """Return the template of one fleet."""
    return fleet_of(templates, TARGET)


def environment(function: Resource) -> dict[str, str]:
    """Return a function's environment variables."""
    variables = function["Environment"]["Variables"]
    return {name: flat(value) for name, value in variables.items()}


def test_every_handler_is_importable(templates: Templates) -> None:
    """A handler that a template names exists: Lambda would only say so at the first event."""
    handlers = {function["Handler"] for function in everywhere(templates, "AWS::Lambda::Function")}
    names = ("backup", "sweep", "collect_uploads", "invalidate", "bucket_notifications")
    assert handlers == {f"functions.{name}.handler" for name in names}
    for handler in handlers:
        module, _, name = handler.rpartition(".")
        assert callable(getattr(import_module(module), name))


def test_every_function_understands_its_environment(templates: Templates, fleet: Template) -> None:
    """What the stacks write into an environment is what the function's settings read."""
    backup = BackupSettings.from_environment(environment(the_function(fleet)))
    core = templates[naming.CORE_STACK]
    sweep = SweepSettings.from_environment(environment(the_function(core)))
    uploads = templates[naming.UPLOADS_STACK]
    collect, invalidate = (
        settings.from_environment(environment(function_named(uploads, name)))
        for settings, name in (
            (UploadSettings, naming.COLLECT_UPLOADS),
            (UploadSettings, naming.INVALIDATE),
        )
    )
    (table,) = everywhere(templates, "AWS::DynamoDB::Table")
    tables = {backup.table, sweep.table, collect.table, invalidate.table}
    assert tables == {table["TableName"]}
    assert backup.snapshot_timeout_s == 8
    wakes = f"<{queue_id(uploads, naming.WAKES_QUEUE)}>"
    assert collect.wakes_url == invalidate.wakes_url == wakes


def test_the_backup_function_has_time_and_a_whole_cpu(fleet: Template) -> None:
    """One invocation conducts a whole run; its own milliseconds are part of the window."""
    function = the_function(fleet)
    assert function["Timeout"] == 900
    assert function["MemorySize"] >= 1769
    assert function["Runtime"] == "python3.13"
    assert function["Architectures"] == ["arm64"]


def test_the_attempts_that_a_configuration_may_ask_for_fit_into_one_invocation(
    fleet: Template,
) -> None:
    """The rule of `patience_s` counts as the conductor does, when each attempt lasts longest."""
    function = the_function(fleet)
    timeout_s = BackupSettings.from_environment(environment(function)).snapshot_timeout_s
    needed_s = longest_ms(patience_of(0, timeout_s)) / 1000
    assert needed_s <= sections.ATTEMPT_S < needed_s + 2
    assert function["Timeout"] - RESERVE_MS / 1000 == sections.INVOCATION_S


def test_lambda_never_repeats_a_run_by_itself(templates: Templates) -> None:
    """A repeated invocation would freeze a database again: repeating is the conductor's choice."""
    invocations = everywhere(templates, "AWS::Lambda::EventInvokeConfig")
    assert len(invocations) == len(everywhere(templates, "AWS::Lambda::Function"))
    for invocation in invocations:
        assert invocation["MaximumRetryAttempts"] == 0
        assert invocation["MaximumEventAgeInSeconds"] == 300


def test_a_failed_invocation_ends_in_the_dead_letters(fleet: Template) -> None:
    """Lambda puts a failed run's event aside, and its role may do so."""
    dead_letters = f"<{queue_id(fleet, naming.dead_letters(FLEET))}.Arn>"
    (invocations,) = of_type(fleet, "AWS::Lambda::EventInvokeConfig").values()
    destination = invocations["Properties"]["DestinationConfig"]["OnFailure"]["Destination"]
    assert flat(destination) == dead_letters
    role = flat(the_function(fleet)["Role"]).strip("<>").removesuffix(".Arn")
    assert any(
        owner == role
        and statement["Action"] == "sqs:SendMessage"
        and flat(statement["Resource"]) == dead_letters
        for owner, statement in identity_statements(fleet)
    )


def test_every_log_group_is_ours_and_forgets(templates: Templates) -> None:
    """A log group that Lambda makes by itself keeps everything for ever."""
    place = "arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>:log-group:"
    for template in templates.values():
        groups = of_type(template, "AWS::Logs::LogGroup")
        functions = [f["Properties"] for f in of_type(template, "AWS::Lambda::Function").values()]
        used = [flat(function["LoggingConfig"]["LogGroup"]) for function in functions]
        assert sorted(used) == sorted(f"<{logical_id}>" for logical_id in groups)
        assert all(group["Properties"]["RetentionInDays"] == 90 for group in groups.values())
        for function in functions:
            group = groups[flat(function["LoggingConfig"]["LogGroup"]).strip("<>")]
            name = group["Properties"]["LogGroupName"]
            stream = f"{place}{name}:log-stream:2026/11/25/[$LATEST]0123"
            role = flat(function["Role"]).strip("<>").removesuffix(".Arn")
            assert {
                owner
                for owner, statement in identity_statements(template)
                if grants(statement, "logs:PutLogEvents", stream)
            } == {role}


def emitted(function: Resource, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """Return the line by which a function's own telemetry counts an abandoned run."""
    variables = environment(function)
    service, namespace = (
        variables[f"POWERTOOLS_{name}"] for name in ("SERVICE_NAME", "METRICS_NAMESPACE")
    )
    EmfMeasures(service, namespace).abandoned(TARGET)
    line: dict[str, object] = json.loads(capsys.readouterr().out)
    return line


def test_the_age_alarm_watches_what_the_backup_function_counts(
    fleet: Template, capsys: pytest.CaptureFixture[str]
) -> None:
    """Namespace and dimensions are exactly those of the metric, else it would sound for ever."""
    line = emitted(the_function(fleet), capsys)
    alarm = alarm_named(fleet, f"holdstill-{TARGET}-age")
    (directive,) = line["_aws"]["CloudWatchMetrics"]  # type: ignore[index]
    (dimensions,) = directive["Dimensions"]
    assert alarm["Namespace"] == directive["Namespace"]
    assert {entry["Name"]: entry["Value"] for entry in alarm["Dimensions"]} == {
        name: line[name] for name in dimensions
    }
    assert alarm["MetricName"] == "RunsConsistent"


def test_the_age_alarm_sounds_after_max_age_without_a_consistent_run(fleet: Template) -> None:
    """Silence is no news: hours without a run count as hours without a consistent snapshot."""
    alarm = alarm_named(fleet, f"holdstill-{TARGET}-age")
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 26 * 3600
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    assert alarm["Statistic"] == "Sum"
    assert alarm["TreatMissingData"] == "breaching"


def test_an_abandoned_run_sounds_whatever_its_target(
    templates: Templates, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sweep's line is counted again without dimensions, and any count sounds the alarm."""
    core = templates[naming.CORE_STACK]
    (counted,) = everywhere({"core": core}, "AWS::Logs::MetricFilter")
    (transformation,) = counted["MetricTransformations"]
    alarm = alarm_named(core, "holdstill-runs-abandoned")
    assert counted["FilterPattern"] == "{ $.RunsAbandoned[0] > 0 }"
    assert flat(counted["LogGroupName"]) == flat(the_function(core)["LoggingConfig"]["LogGroup"])
    assert alarm["MetricName"] == transformation["MetricName"]
    assert alarm["Namespace"] == transformation["MetricNamespace"]
    line = emitted(the_function(core), capsys)
    assert line["RunsAbandoned"][0] > 0  # type: ignore[index]


def test_errors_and_dead_letters_sound(templates: Templates) -> None:
    """Whatever fails is told to the one topic."""
    names = {alarm["AlarmName"] for alarm in everywhere(templates, "AWS::CloudWatch::Alarm")}
    assert {
        f"holdstill-{FLEET:02d}-backup-errors",
        f"holdstill-{FLEET:02d}-dead-letters",
        "holdstill-sweep-errors",
    } <= names
    topic = "arn:<AWS::Partition>:sns:<AWS::Region>:<AWS::AccountId>:holdstill-alarms"
    for alarm in everywhere(templates, "AWS::CloudWatch::Alarm"):
        assert [flat(action) for action in alarm["AlarmActions"]] == [topic]
