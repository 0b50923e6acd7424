"""A fleet stack: one backup function, and the targets that it conducts."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import Stack
from constructs import Construct

from infra import alarms, naming, permissions
from infra.asset import Asset
from infra.configuration import Target
from infra.functions import Function
from infra.protection import Conductor, protect
from infra.queues import DEAD_LETTER_RETENTION_S, guarded_queue
from infra.schedules import starting_role

_MEMORY_MB: Final = 1769
"""With it Lambda gives one whole CPU: the conductor's milliseconds are the database's too."""
_TIMEOUT_S: Final = 900
"""Lambda's maximum: one invocation conducts one whole run, with all its attempts."""
_SNAPSHOT_TIMEOUT_S: Final = 8
"""How long CreateSnapshot may take: inside the host's freeze budget of 10 s by default."""


class FleetStack(Stack):
    """Everything that the targets of one fleet share, and the targets themselves.

    It refers to the core stack by physical names alone: an export between stacks cannot be
    changed while somebody imports it.
    """

    def __init__(
        self, scope: Construct, *, fleet: int, targets: Sequence[Target], asset: Asset
    ) -> None:
        super().__init__(
            scope, naming.fleet_stack(fleet), description=f"Holdstill: targets of fleet {fleet:02d}"
        )
        dead_letters = guarded_queue(
            self,
            "DeadLetters",
            name=naming.dead_letters(fleet),
            retention_s=DEAD_LETTER_RETENTION_S,
        )
        alarms.sounds_above_zero(
            self,
            "DeadLettersAlarm",
            name=naming.dead_letters(fleet),
            description="A command, a reply or a start of a run could not be handled",
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": naming.dead_letters(fleet)},
            statistic="Maximum",
        )
        backup = Function(
            self,
            "Backup",
            name=naming.backup_function(fleet),
            service=naming.BACKUP_SERVICE,
            handler="functions.backup.handler",
            asset=asset,
            memory_mb=_MEMORY_MB,
            timeout_s=_TIMEOUT_S,
            statements=permissions.conduct(fleet),
            environment={"HOLDSTILL_SNAPSHOT_TIMEOUT_S": str(_SNAPSHOT_TIMEOUT_S)},
            dead_letters_arn=dead_letters.attr_arn,
        )
        start = starting_role(self, "Start", permissions.start(backup.arn, dead_letters.attr_arn))
        conductor = Conductor(
            function_arn=backup.arn,
            role_arn=backup.role_arn,
            starting_role_arn=start.role_arn,
            dead_letters_arn=dead_letters.attr_arn,
        )
        for target in targets:
            protect(self, target, conductor)
