"""The backup Lambda: one invocation conducts one scheduled run of one target."""

import os
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING
from uuid import uuid4

from aws_lambda_powertools import Logger

from functions.adapters import clients
from functions.adapters.clock import SystemClock
from functions.adapters.ec2 import Ec2
from functions.adapters.leases_table import LeasesTable
from functions.adapters.queues import SqsHostQueues
from functions.adapters.runs_table import RunsTable
from functions.adapters.telemetry import EmfMeasures, PowertoolsLog
from functions.domain.requests import BackupRequest
from functions.ports import World
from functions.run import Run
from functions.settings import BackupSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()

_settings = cache(lambda: BackupSettings.from_environment(os.environ))


@logger.inject_lambda_context(clear_state=True)
def handler(event: Mapping[str, object], context: "LambdaContext") -> None:
    """Back a target up; a run that does not succeed is an error of this invocation."""
    clock = SystemClock()
    ends_at_ms = clock.now_ns() // 1_000_000 + context.get_remaining_time_in_millis()
    request = BackupRequest.from_event(event)
    settings = _settings()
    logger.append_keys(target=request.target)
    world = World(
        clock=clock,
        log=PowertoolsLog(logger),
        queues=SqsHostQueues(
            clients.commands(), clients.replies(), request.commands_url, request.replies_url
        ),
        ec2=Ec2(clients.ec2(), clients.ec2_once(), clients.window),
        runs=RunsTable(clients.dynamodb(), settings.table),
        leases=LeasesTable(clients.dynamodb(), settings.table),
        measures=EmfMeasures(settings.service, settings.namespace),
    )
    Run(world, request, uuid4().hex, settings.snapshot_timeout_s, ends_at_ms).back_up()
