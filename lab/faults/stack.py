"""What the template deploys for one target, said once more, by hand: `cdk deploy` takes 12 s.

A test holds it against the synthesized template.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from infra import naming

TARGET: Final = "recipes-db"

_DEAD_LETTERS: Final = {"MessageRetentionPeriod": "1209600", "VisibilityTimeout": "30"}
_COMMANDS: Final = {"MessageRetentionPeriod": "60", "VisibilityTimeout": "5"}
_REPLIES: Final = {"MessageRetentionPeriod": "900", "VisibilityTimeout": "5"}
MAX_RECEIVES: Final = 3

FUNCTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "functions.backup.handler": {
        "HOLDSTILL_TABLE": naming.TABLE,
        "POWERTOOLS_SERVICE_NAME": naming.BACKUP_SERVICE,
        "POWERTOOLS_METRICS_NAMESPACE": naming.METRICS,
        "POWERTOOLS_LOG_LEVEL": "INFO",
        "HOLDSTILL_SNAPSHOT_TIMEOUT_S": "8",
    },
    "functions.sweep.handler": {
        "HOLDSTILL_TABLE": naming.TABLE,
        "POWERTOOLS_SERVICE_NAME": naming.SWEEP,
        "POWERTOOLS_METRICS_NAMESPACE": naming.METRICS,
        "POWERTOOLS_LOG_LEVEL": "INFO",
    },
}
"""The handlers, and their functions' environment."""

TABLE: Final[Mapping[str, Any]] = {
    "TableName": naming.TABLE,
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "open_pk", "open_sk")
    ],
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": naming.OPEN_RUNS_INDEX,
            "KeySchema": [
                {"AttributeName": "open_pk", "KeyType": "HASH"},
                {"AttributeName": "open_sk", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}


def redrive(dead_letters_arn: str) -> dict[str, str]:
    """Return the attribute by which a target's queue puts aside what nobody can read."""
    policy = {"deadLetterTargetArn": dead_letters_arn, "maxReceiveCount": str(MAX_RECEIVES)}
    return {"RedrivePolicy": json.dumps(policy)}


def queues(target: str) -> dict[str, Mapping[str, str]]:
    """Return the attributes of each queue that the target uses, by its name, in order of need."""
    return {
        naming.dead_letters(naming.fleet_of(target)): _DEAD_LETTERS,
        naming.commands_queue(target): _COMMANDS,
        naming.replies_queue(target): _REPLIES,
    }
