"""The way of an upload: who may send it, who reads it and when, where it waits if nobody can."""

import json

import pytest

from functions.domain.wakes import is_sweep
from infra import naming
from tests.infra.template_reading import (
    Resource,
    Template,
    Templates,
    alarm_named,
    denies,
    flat,
    function_named,
    of_type,
    queue,
    queue_id,
    queue_policy,
)
from tests.infra.uploads.conftest import BUCKET, COLLECT, INVALIDATE


def id_of(function: str, template: Template) -> str:
    """Return the logical id of the function of that name."""
    functions = of_type(template, "AWS::Lambda::Function").items()
    return next(
        name for name, found in functions if found["Properties"]["FunctionName"] == function
    )


def source_of(function: str, template: Template) -> Resource:
    """Return the event source of the function of that name."""
    arn = f"<{id_of(function, template)}.Arn>"
    source: Resource
    (source,) = (
        found["Properties"]
        for found in of_type(template, "AWS::Lambda::EventSourceMapping").values()
        if flat(found["Properties"]["FunctionName"]) == arn
    )
    return source


@pytest.mark.parametrize(
    ("function", "queue_name", "batch"),
    [(COLLECT, "holdstill-uploads", 10), (INVALIDATE, "holdstill-wakes", 1)],
)
def test_each_function_reads_its_queue_without_waiting_for_more(
    template: Template, function: str, queue_name: str, batch: int
) -> None:
    """No batching window; one unreadable message does not bring the others back."""
    source = source_of(function, template)
    assert flat(source["EventSourceArn"]) == f"<{queue_id(template, queue_name)}.Arn>"
    assert source["BatchSize"] == batch
    assert "MaximumBatchingWindowInSeconds" not in source
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"]["MaximumConcurrency"] == 10


@pytest.mark.parametrize(
    ("function", "queue_name"), [(COLLECT, "holdstill-uploads"), (INVALIDATE, "holdstill-wakes")]
)
def test_a_message_stays_hidden_while_its_function_may_still_work_on_it(
    template: Template, function: str, queue_name: str
) -> None:
    """Six time-outs, as AWS asks; and three receives end before the queue forgets the message."""
    found = queue(template, queue_name)
    assert found["VisibilityTimeout"] >= 6 * function_named(template, function)["Timeout"]
    receives = found["RedrivePolicy"]["maxReceiveCount"]
    assert receives == 3
    assert receives * found["VisibilityTimeout"] < found["MessageRetentionPeriod"]


def test_what_cannot_be_handled_waits_for_a_person(template: Template) -> None:
    """Both queues put it aside for 14 days, and the first such message sounds."""
    dead_letters = {"Fn::GetAtt": [queue_id(template, naming.UPLOADS_DEAD_LETTERS), "Arn"]}
    for name in (naming.UPLOADS_QUEUE, naming.WAKES_QUEUE):
        assert queue(template, name)["RedrivePolicy"]["deadLetterTargetArn"] == dead_letters
    assert queue(template, naming.UPLOADS_QUEUE)["MessageRetentionPeriod"] == 4 * 24 * 3600
    assert queue(template, naming.WAKES_QUEUE)["MessageRetentionPeriod"] == 3600
    put_aside = queue(template, naming.UPLOADS_DEAD_LETTERS)
    assert put_aside["MessageRetentionPeriod"] == 14 * 24 * 3600
    alarm = alarm_named(template, naming.UPLOADS_DEAD_LETTERS)
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Dimensions"]) == (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        [{"Name": "QueueName", "Value": naming.UPLOADS_DEAD_LETTERS}],
    )
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)


def test_nobody_is_let_in_in_the_clear(template: Template) -> None:
    """Uploads, wakes and dead letters travel by TLS alone."""
    for name in (naming.UPLOADS_QUEUE, naming.WAKES_QUEUE, naming.UPLOADS_DEAD_LETTERS):
        assert denies(queue_policy(template, name), "sqs:SendMessage", "anybody", tls=False)


def test_the_buckets_of_this_account_alone_send_uploads(template: Template) -> None:
    """S3 for the sites' buckets, and EventBridge's rules; nobody else's are let in."""
    allowed = {
        statement["Principal"]["Service"]: statement["Condition"]
        for statement in queue_policy(template, naming.UPLOADS_QUEUE)["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    }
    assert allowed.keys() == {"s3.amazonaws.com", "events.amazonaws.com"}
    for condition in allowed.values():
        assert condition["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    buckets = list(map(flat, allowed["s3.amazonaws.com"]["ArnLike"]["aws:SourceArn"]))
    assert f"{BUCKET}example-static" in buckets
    assert len(buckets) == 2


def test_a_turn_is_started_each_minute_by_what_it_understands(templates: Templates) -> None:
    """A wake that is lost costs a minute; the event says what is wanted."""
    template = templates[naming.UPLOADS_STACK]
    (found,) = of_type(template, "AWS::Scheduler::Schedule").values()
    schedule = found["Properties"]
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert flat(schedule["Target"]["Arn"]) == f"<{id_of(INVALIDATE, template)}.Arn>"
    assert is_sweep(json.loads(schedule["Target"]["Input"]))
