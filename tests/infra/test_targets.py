"""What is deployed for a target: its schedule, its event, its output, its core."""

import json

from functions.domain.requests import BackupRequest
from infra import naming
from infra.configuration.schedules import stable_offset
from tests.infra.template_reading import (
    Resource,
    Synth,
    Templates,
    everywhere,
    flat,
    fleet_of,
    identity_statements,
    of_type,
    queue_id,
)

TARGET = "recipes-db"


def schedule_of(templates: Templates, name: str) -> Resource:
    """Return the properties of a schedule."""
    return next(s for s in everywhere(templates, "AWS::Scheduler::Schedule") if s["Name"] == name)


def test_a_schedule_starts_at_the_targets_own_minute_in_its_time_zone(
    templates: Templates,
) -> None:
    """The policy's hour, the target's stable offset, the operator's time zone."""
    schedule = schedule_of(templates, "holdstill-18-recipes-db")
    minute = stable_offset(TARGET, 30)
    assert schedule["ScheduleExpression"] == f"cron({minute} 3 * * ? *)"
    assert schedule["ScheduleExpressionTimezone"] == "Asia/Tokyo"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}


def test_no_target_can_take_the_name_of_anything_else(synth: Synth) -> None:
    """A target may be called as a part of Holdstill is, and its names stay its own."""
    targets = "".join(
        f'[targets.{name}]\ninstance = "i-0123456789abcdef0"\npolicy = "nightly"\n'
        for name in ("sweep", "backup", "dead-letters", "alarms", "core", "a" * 48)
    )
    policy = '[policies.nightly]\nschedule = "rate(1 day)"\nkeep = { daily = 7 }\n'
    templates = synth(f"{policy}max_age_hours = 26\n{targets}")
    for kind, key in (
        ("AWS::Scheduler::Schedule", "Name"),
        ("AWS::SQS::Queue", "QueueName"),
        ("AWS::CloudWatch::Alarm", "AlarmName"),
    ):
        names = [properties[key] for properties in everywhere(templates, kind)]
        assert len(set(names)) == len(names)
        assert max(map(len, names)) <= (80 if "SQS" in kind else 64)


def test_a_schedules_event_tells_the_conductor_everything(templates: Templates) -> None:
    """The backup function knows no target: all that it needs is in the event."""
    template = fleet_of(templates, TARGET)
    event = json.loads(flat(schedule_of(templates, naming.schedule(TARGET))["Target"]["Input"]))
    assert event == {
        "v": 1,
        "target": TARGET,
        "scheduled_at": "<aws.scheduler.scheduled-time>",
        "instance": "i-0123456789abcdef0",
        "commands_url": f"<{queue_id(template, naming.commands_queue(TARGET))}>",
        "replies_url": f"<{queue_id(template, naming.replies_queue(TARGET))}>",
        "attempts": 2,
        "patience_s": 90,
    }


def test_the_backup_function_understands_the_schedules_event(templates: Templates) -> None:
    """What a schedule sends is what the handler reads, once Scheduler has filled in the time."""
    event = json.loads(flat(schedule_of(templates, naming.schedule(TARGET))["Target"]["Input"]))
    filled = {
        "scheduled_at": "2026-11-25T18:00:00Z",
        "commands_url": "https://sqs.example.com/1/commands",
        "replies_url": "https://sqs.example.com/1/replies",
    }
    request = BackupRequest.from_event({**event, **filled})
    assert (request.target, request.attempts, request.patience_s) == (TARGET, 2, 90)


def test_a_start_that_scheduler_cannot_make_is_put_aside_and_never_made_late(
    templates: Templates,
) -> None:
    """A backup must not start hours later; what could not start is a dead letter."""
    target = schedule_of(templates, naming.schedule(TARGET))["Target"]
    assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] == 300
    dead_letters = queue_id(
        fleet_of(templates, TARGET), naming.dead_letters(naming.fleet_of(TARGET))
    )
    assert flat(target["DeadLetterConfig"]["Arn"]) == f"<{dead_letters}.Arn>"


def test_scheduler_starts_functions_for_this_account_alone(templates: Templates) -> None:
    """Nobody else's schedule can make Scheduler act as this role."""
    roles = [
        statement
        for role in everywhere(templates, "AWS::IAM::Role")
        for statement in role["AssumeRolePolicyDocument"]["Statement"]
        if statement["Principal"]["Service"] == "scheduler.amazonaws.com"
    ]
    assert len(roles) == len(templates)
    for statement in roles:
        assert statement["Condition"] == {
            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        }


def test_the_outputs_tell_an_agent_all_it_needs(templates: Templates) -> None:
    """`holdstill agent-config` prints a target's configuration from the deployed stack alone."""
    template = fleet_of(templates, TARGET)
    (host,) = of_type(template, "AWS::IAM::ManagedPolicy")
    assert json.loads(flat(template["Outputs"]["AgentRecipesDb"]["Value"])) == {
        "target": TARGET,
        "commands_url": f"<{queue_id(template, naming.commands_queue(TARGET))}>",
        "replies_url": f"<{queue_id(template, naming.replies_queue(TARGET))}>",
        "host_policy_arn": f"<{host}>",
    }


def test_a_snapshot_is_made_with_our_tag_or_not_at_all(templates: Templates) -> None:
    """Tags come with the creation; afterwards the verdict of our own snapshots alone changes."""
    ec2 = [
        (sorted(as_actions(statement)), statement.get("Condition"))
        for _, statement in identity_statements(fleet_of(templates, TARGET))
        if any(action.startswith("ec2:Create") for action in as_actions(statement))
        and "snapshot/*" in flat(statement["Resource"])
    ]
    making = ["ec2:CreateSnapshot", "ec2:CreateSnapshots"]
    assert ec2 == [
        (making, {"Null": {"aws:RequestTag/holdstill:run-id": "false"}}),
        (
            ["ec2:CreateTags"],
            {"StringEquals": {"ec2:CreateAction": ["CreateSnapshot", "CreateSnapshots"]}},
        ),
        (
            ["ec2:CreateTags"],
            {
                "Null": {"aws:ResourceTag/holdstill:run-id": "false", "aws:TagKeys": "false"},
                "ForAllValues:StringEquals": {"aws:TagKeys": ["holdstill:verdict"]},
            },
        ),
    ]


def as_actions(statement: Resource) -> list[str]:
    """Return a statement's actions as a list."""
    actions = statement["Action"]
    return [actions] if isinstance(actions, str) else list(actions)


def test_no_role_can_delete_a_snapshot(templates: Templates) -> None:
    """Whatever goes wrong in a run, a snapshot that exists stays."""
    actions = {
        action
        for template in templates.values()
        for _, statement in identity_statements(template)
        for action in as_actions(statement)
    }
    assert not [action for action in actions if "Delete" in action and "ec2" in action]
    assert not [action for action in actions if "*" in action]


def test_the_table_holds_runs_and_can_be_put_back(templates: Templates) -> None:
    """Keys and sparse index as the functions use them; restorable to any second."""
    (table,) = everywhere(templates, "AWS::DynamoDB::Table")
    assert table["TableName"] == "holdstill"
    assert [key["AttributeName"] for key in table["KeySchema"]] == ["pk", "sk"]
    (index,) = table["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "open-runs"
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["open_pk", "open_sk"]
    assert index["Projection"] == {"ProjectionType": "ALL"}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_the_record_outlives_its_stack(templates: Templates) -> None:
    """A deleted stack does not take what the snapshots are proven by; a failed first one does."""
    (table,) = of_type(templates[naming.CORE_STACK], "AWS::DynamoDB::Table").values()
    assert table["DeletionPolicy"] == "RetainExceptOnCreate"
    assert table["UpdateReplacePolicy"] == "Retain"


def test_the_sweep_looks_every_five_minutes(templates: Templates) -> None:
    """A run whose conductor died is found within minutes."""
    sweep = schedule_of(templates, "holdstill-sweep")
    assert sweep["ScheduleExpression"] == "rate(5 minutes)"


def test_alarms_reach_the_topic_and_the_topic_a_person(templates: Templates) -> None:
    """CloudWatch of this account may publish, over TLS; the configured address is subscribed."""
    (policy,) = everywhere(templates, "AWS::SNS::TopicPolicy")
    allowed = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
    assert [statement["Principal"] for statement in allowed] == [
        {"Service": "cloudwatch.amazonaws.com"}
    ]
    (subscription,) = everywhere(templates, "AWS::SNS::Subscription")
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "ops@example.com")
