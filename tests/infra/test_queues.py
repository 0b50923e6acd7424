"""Who may use a target's queues, and what happens to a message that nobody handles."""

import pytest

from infra import naming
from tests.infra.template_reading import (
    Template,
    Templates,
    denies,
    everywhere,
    flat,
    fleet_of,
    grants,
    identity_statements,
    of_type,
    queue,
    queue_id,
    queue_policy,
    the_function,
)

STRANGER = "arn:aws:iam::123456789012:role/stranger"
HOST = "arn:aws:iam::123456789012:role/orders-db"
TAKING = (
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:PurgeQueue",
)
OPEN, CLOSED = "recipes-db", "orders-db"


def backup_role(template: Template) -> str:
    """Return the ARN of the role as which a stack's function runs."""
    return flat(the_function(template)["Role"])


@pytest.mark.parametrize("target", [OPEN, CLOSED])
def test_only_the_backup_role_sends_commands(templates: Templates, target: str) -> None:
    """Nobody but the conductor can freeze a database, whatever their own policies allow."""
    template = fleet_of(templates, target)
    commands = queue_policy(template, naming.commands_queue(target))
    assert not denies(commands, "sqs:SendMessage", backup_role(template))
    assert denies(commands, "sqs:SendMessage", STRANGER)
    assert denies(commands, "sqs:SendMessage", HOST)


@pytest.mark.parametrize("action", TAKING)
def test_only_the_backup_role_takes_replies(templates: Templates, action: str) -> None:
    """A reply that somebody else takes would leave a database frozen for the whole budget."""
    template = fleet_of(templates, OPEN)
    replies = queue_policy(template, naming.replies_queue(OPEN))
    assert not denies(replies, action, backup_role(template))
    assert denies(replies, action, STRANGER)


@pytest.mark.parametrize("action", TAKING)
def test_a_known_host_alone_takes_its_commands(templates: Templates, action: str) -> None:
    """With host_role_arn everybody else is denied, whatever their own policies allow."""
    commands = queue_policy(fleet_of(templates, CLOSED), naming.commands_queue(CLOSED))
    assert not denies(commands, action, HOST)
    assert denies(commands, action, STRANGER)
    unknown = queue_policy(fleet_of(templates, OPEN), naming.commands_queue(OPEN))
    assert not denies(unknown, action, STRANGER)


def test_a_known_host_alone_sends_its_replies(templates: Templates) -> None:
    """With host_role_arn nobody else can say that a database is frozen."""
    replies = queue_policy(fleet_of(templates, CLOSED), naming.replies_queue(CLOSED))
    assert not denies(replies, "sqs:SendMessage", HOST)
    assert denies(replies, "sqs:SendMessage", STRANGER)
    unknown = queue_policy(fleet_of(templates, OPEN), naming.replies_queue(OPEN))
    assert not denies(unknown, "sqs:SendMessage", STRANGER)


@pytest.mark.parametrize("target", [OPEN, CLOSED])
def test_the_hosts_policy_reaches_its_own_two_queues_only(
    templates: Templates, target: str
) -> None:
    """An agent reads its commands and sends its replies; it is granted nothing else."""
    template = fleet_of(templates, target)
    (host,) = of_type(template, "AWS::IAM::ManagedPolicy").values()
    commands = f"<{queue_id(template, naming.commands_queue(target))}.Arn>"
    replies = f"<{queue_id(template, naming.replies_queue(target))}.Arn>"
    granted = {
        (action, flat(resource))
        for statement in host["Properties"]["PolicyDocument"]["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    }
    assert granted == {
        ("sqs:ReceiveMessage", commands),
        ("sqs:DeleteMessage", commands),
        ("sqs:GetQueueAttributes", commands),
        ("sqs:SendMessage", replies),
    }
    assert not host["Properties"].keys() & {"Roles", "Users", "Groups"}


def test_no_other_role_is_granted_a_targets_queues(templates: Templates) -> None:
    """Of all roles and policies of all stacks, two can use a target's queues, one way each."""
    target = OPEN
    template = fleet_of(templates, target)
    place = "arn:<AWS::Partition>:sqs:<AWS::Region>:<AWS::AccountId>:"
    users: dict[str, set[str]] = {}
    for name in (naming.commands_queue(target), naming.replies_queue(target)):
        spellings = (f"{place}{name}", f"<{queue_id(template, name)}.Arn>")
        for stack in templates.values():
            for owner, statement in identity_statements(stack):
                for action in ("sqs:SendMessage", "sqs:ReceiveMessage"):
                    if any(grants(statement, action, spelling) for spelling in spellings):
                        users.setdefault(f"{action} {name}", set()).add(owner)
    role = backup_role(template).strip("<>").removesuffix(".Arn")
    (host,) = of_type(template, "AWS::IAM::ManagedPolicy")
    assert users == {
        f"sqs:SendMessage {naming.commands_queue(target)}": {role},
        f"sqs:ReceiveMessage {naming.commands_queue(target)}": {host},
        f"sqs:SendMessage {naming.replies_queue(target)}": {host},
        f"sqs:ReceiveMessage {naming.replies_queue(target)}": {role},
    }


def test_every_queue_is_encrypted_and_closed_to_plain_http(templates: Templates) -> None:
    """No message rests or travels in the clear, not even the conductor's own."""
    for template in templates.values():
        for logical_id, found in of_type(template, "AWS::SQS::Queue").items():
            assert found["Properties"]["SqsManagedSseEnabled"] is True
            name = found["Properties"]["QueueName"]
            caller = STRANGER
            assert denies(queue_policy(template, name), "sqs:SendMessage", caller, tls=False), (
                logical_id
            )


def test_an_unread_command_vanishes_and_a_poisonous_one_is_put_aside(
    templates: Templates,
) -> None:
    """After 60 s a command is gone; after three receives it waits for a person for 14 days."""
    template = fleet_of(templates, OPEN)
    commands = queue(template, naming.commands_queue(OPEN))
    assert commands["MessageRetentionPeriod"] == 60
    assert commands["VisibilityTimeout"] == 5
    dead_letters = naming.dead_letters(naming.fleet_of(OPEN))
    assert commands["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": [queue_id(template, dead_letters), "Arn"]},
        "maxReceiveCount": 3,
    }
    assert queue(template, dead_letters)["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_a_reply_outlives_no_conductor_and_is_outlived_by_none(templates: Templates) -> None:
    """Replies are kept exactly as long as the longest invocation that could wait for them."""
    (timeout,) = {
        function["Timeout"]
        for function in everywhere(templates, "AWS::Lambda::Function")
        if function["Handler"] == "functions.backup.handler"
    }
    replies = queue(fleet_of(templates, OPEN), naming.replies_queue(OPEN))
    assert replies["MessageRetentionPeriod"] == timeout
