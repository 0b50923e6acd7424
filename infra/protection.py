"""What one target costs: two queues and their policies, the host's policy, a schedule, an alarm."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra import alarms, naming, permissions
from infra.configuration import Target
from infra.queues import guarded_queue
from infra.schedules import schedule

_COMMAND_RETENTION_S: Final = 60
"""SQS's minimum: a command that nobody read in time vanishes by itself."""
_REPLY_RETENTION_S: Final = 900
"""The longest invocation: no reply vanishes before the conductor that waits for it, and none
outlives every conductor that could."""
_VISIBILITY_S: Final = 5


@dataclass(frozen=True, slots=True)
class Conductor:
    """The fleet's own parts that each of its targets refers to."""

    function_arn: str
    role_arn: str
    starting_role_arn: str
    dead_letters_arn: str


def protect(stack: Stack, target: Target, conductor: Conductor) -> None:
    """Add the target to its fleet's stack."""
    scope = Construct(stack, target.name)
    queue = partial(
        guarded_queue,
        scope,
        visibility_s=_VISIBILITY_S,
        dead_letters_arn=conductor.dead_letters_arn,
    )
    commands = queue(
        "Commands",
        name=naming.commands_queue(target.name),
        retention_s=_COMMAND_RETENTION_S,
        guards=lambda arn: permissions.guard_commands(
            arn, conductor.role_arn, target.host_role_arn
        ),
    )
    replies = queue(
        "Replies",
        name=naming.replies_queue(target.name),
        retention_s=_REPLY_RETENTION_S,
        guards=lambda arn: permissions.guard_replies(arn, conductor.role_arn, target.host_role_arn),
    )
    host = iam.CfnManagedPolicy(
        scope,
        "Host",
        description=f"Holdstill's agent of {target.name}: attach it to the instance's role",
        policy_document=permissions.document(permissions.host(commands.attr_arn, replies.attr_arn)),
    )
    queues = {"commands_url": commands.ref, "replies_url": replies.ref}
    event = {
        "v": 1,
        "target": target.name,
        "scheduled_at": "<aws.scheduler.scheduled-time>",
        "instance": target.instance,
        **queues,
        "attempts": target.policy.attempts,
        "patience_s": target.policy.patience_s,
    }
    schedule(
        scope,
        "Schedule",
        name=naming.schedule(target.name),
        expression=str(target.schedule),
        timezone=target.policy.timezone,
        function_arn=conductor.function_arn,
        role_arn=conductor.starting_role_arn,
        message=stack.to_json_string(event),
        dead_letters_arn=conductor.dead_letters_arn,
    )
    if target.policy.max_age_hours:
        alarms.sounds_without_backup(
            scope, "Age", target=target.name, max_age_hours=target.policy.max_age_hours
        )
    agent = {"target": target.name, **queues, "host_policy_arn": host.ref}
    CfnOutput(stack, naming.agent_output(target.name), value=stack.to_json_string(agent))
