"""Who may do what: every IAM statement of the app, as plain values."""

from collections.abc import Sequence
from typing import Any, Final

from aws_cdk import Aws

from infra import naming

Statement = dict[str, Any]

SEND: Final = ("sqs:SendMessage",)
RECEIVE: Final = ("sqs:ReceiveMessage", "sqs:DeleteMessage")
CONSUME: Final = (*RECEIVE, "sqs:GetQueueAttributes")
"""What an agent does with its commands, and Lambda with the messages that it gives a function."""
_TAKE: Final = (*RECEIVE, "sqs:ChangeMessageVisibility", "sqs:PurgeQueue")
"""Everything by which a principal could make a message disappear."""

_RUN_ID: Final = "holdstill:run-id"
_VERDICT: Final = "holdstill:verdict"


def arn(service: str, resource: str) -> str:
    """Return the ARN of something in the account and Region of the deployment."""
    return f"arn:{Aws.PARTITION}:{service}:{Aws.REGION}:{Aws.ACCOUNT_ID}:{resource}"


def allow(
    actions: Sequence[str], resources: Sequence[str], condition: Statement | None = None
) -> Statement:
    """Return a statement that grants the actions."""
    statement: Statement = {
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources),
    }
    return statement if condition is None else {**statement, "Condition": condition}


def document(statements: Sequence[Statement]) -> dict[str, Any]:
    """Return a policy document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def log(function: str) -> list[Statement]:
    """Let a function write into its own log group, which exists already."""
    streams = arn("logs", f"log-group:{naming.log_group(function)}:*")
    return [allow(["logs:CreateLogStream", "logs:PutLogEvents"], [streams])]


def conduct(fleet: int) -> list[Statement]:
    """Let a fleet's backup function conduct the runs of the fleet's targets."""
    queues = f"{naming.fleet_prefix(fleet)}-*"
    return [
        allow(SEND, [arn("sqs", f"{queues}-commands")]),
        allow(RECEIVE, [arn("sqs", f"{queues}-replies")]),
        *_snapshots(),
        _rows("PutItem", "UpdateItem", "DeleteItem"),
    ]


def sweep() -> list[Statement]:
    """Let the sweep find open runs, see what snapshots they left, and end them."""
    index = arn("dynamodb", f"table/{naming.TABLE}/index/{naming.OPEN_RUNS_INDEX}")
    return [
        allow(["dynamodb:Query"], [index]),
        allow(["ec2:DescribeSnapshots"], ["*"]),
        _rows("GetItem", "UpdateItem"),
    ]


def collect_uploads(uploads_arn: str, wakes_arn: str) -> list[Statement]:
    """Let it take the buckets' messages, note what changed, and wake whoever clears it."""
    return [
        allow(CONSUME, [uploads_arn]),
        allow(SEND, [wakes_arn]),
        _rows(
            *("BatchGetItem", "DeleteItem", "GetItem", "PutItem", "Query"),
            of=("OBJECT#*", "DISTRIBUTION#*"),
        ),
    ]


def invalidate(wakes_arn: str) -> list[Statement]:
    """Let it be woken, wake itself later, and keep what waits, was asked and was used."""
    return [
        allow([*CONSUME, *SEND], [wakes_arn]),
        _rows(
            *("BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "GetItem"),
            *("PutItem", "Query", "UpdateItem"),
            of=("DISTRIBUTION#*", "ACCOUNT"),
        ),
    ]


def clear(distributions: Sequence[str]) -> Statement:
    """Let a function clear these distributions' caches, and see what became of it."""
    place = f"arn:{Aws.PARTITION}:cloudfront::{Aws.ACCOUNT_ID}:distribution"
    return allow(
        [
            "cloudfront:CreateInvalidation",
            "cloudfront:GetInvalidation",
            "cloudfront:ListInvalidations",
        ],
        [f"{place}/{distribution}" for distribution in distributions],
    )


def list_objects(buckets: Sequence[str]) -> Statement:
    """Let a function see which objects these buckets have, and no more of them."""
    return allow(["s3:ListBucket"], [f"arn:{Aws.PARTITION}:s3:::{bucket}" for bucket in buckets])


def start(function_arn: str, dead_letters_arn: str | None = None) -> list[Statement]:
    """Let a schedule start a function, and put aside what it could not start."""
    invoke = allow(["lambda:InvokeFunction"], [function_arn])
    return [invoke, allow(SEND, [dead_letters_arn])] if dead_letters_arn else [invoke]


def host(commands_arn: str, replies_arn: str) -> list[Statement]:
    """Let an agent use its own target's two queues, each in one direction."""
    return [
        allow(CONSUME, [commands_arn]),
        allow(SEND, [replies_arn]),
    ]


def guard_commands(
    commands_arn: str, backup_role_arn: str, host_role_arn: str | None
) -> list[Statement]:
    """Only the fleet's backup role sends commands; only the host, where it is known, takes them."""
    guards = [_only(backup_role_arn, SEND, commands_arn)]
    return guards + ([_only(host_role_arn, _TAKE, commands_arn)] if host_role_arn else [])


def guard_replies(
    replies_arn: str, backup_role_arn: str, host_role_arn: str | None
) -> list[Statement]:
    """Only the fleet's backup role takes replies; only the host, where it is known, sends them."""
    guards = [_only(backup_role_arn, _TAKE, replies_arn)]
    return guards + ([_only(host_role_arn, SEND, replies_arn)] if host_role_arn else [])


def tls_only(queue_arn: str) -> Statement:
    """Refuse whatever comes in the clear."""
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": queue_arn,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _only(principal_arn: str, actions: Sequence[str], queue_arn: str) -> Statement:
    """Deny the actions to everybody else, also to those whom their own policies allow them.

    For a role's session `aws:PrincipalArn` is the role's own ARN; a caller without one, such as
    an AWS service, is denied too.
    """
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": list(actions),
        "Resource": queue_arn,
        "Condition": {"ArnNotEquals": {"aws:PrincipalArn": principal_arn}},
    }


def _snapshots() -> list[Statement]:
    """Make snapshots, only with our tag; tag them only while making them; judge them later.

    CreateSnapshot(s) authorises each volume, the instance and the new snapshot apart, and AWS
    asks for CreateTags beside them as soon as the call names tags.
    """
    snapshots = f"arn:{Aws.PARTITION}:ec2:{Aws.REGION}::snapshot/*"
    return [
        allow(
            ["ec2:CreateSnapshot", "ec2:CreateSnapshots"],
            [arn("ec2", "volume/*"), arn("ec2", "instance/*")],
        ),
        allow(
            ["ec2:CreateSnapshot", "ec2:CreateSnapshots"],
            [snapshots],
            {"Null": {f"aws:RequestTag/{_RUN_ID}": "false"}},
        ),
        allow(
            ["ec2:CreateTags"],
            [snapshots],
            {"StringEquals": {"ec2:CreateAction": ["CreateSnapshot", "CreateSnapshots"]}},
        ),
        allow(
            ["ec2:CreateTags"],
            [snapshots],
            {
                "Null": {f"aws:ResourceTag/{_RUN_ID}": "false", "aws:TagKeys": "false"},
                "ForAllValues:StringEquals": {"aws:TagKeys": [_VERDICT]},
            },
        ),
        # EC2's Describe calls know no resources: AWS documents "*" as the only one.
        allow(["ec2:DescribeInstances", "ec2:DescribeSnapshots", "ec2:DescribeVolumes"], ["*"]),
    ]


def _rows(*actions: str, of: Sequence[str] = ("TARGET#*",)) -> Statement:
    """Allow the actions on rows whose key is like these, and no others."""
    return allow(
        [f"dynamodb:{action}" for action in actions],
        [arn("dynamodb", f"table/{naming.TABLE}")],
        {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(of)}},
    )
