"""The sweep Lambda: every few minutes it ends the runs whose conductor died."""

import os
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from functions.adapters import clients
from functions.adapters.clock import SystemClock
from functions.adapters.ec2 import Ec2
from functions.adapters.leases_table import LeasesTable
from functions.adapters.runs_table import RunsTable
from functions.adapters.telemetry import EmfMeasures, PowertoolsLog
from functions.settings import SweepSettings
from functions.sweeping import Sweep

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()

_settings = cache(lambda: SweepSettings.from_environment(os.environ))


@logger.inject_lambda_context(clear_state=True)
def handler(_event: Mapping[str, object], _context: "LambdaContext") -> None:
    """End every dead run and tell of it."""
    settings = _settings()
    ec2 = clients.ec2()  # nothing is pressing here, so it asks with patience throughout
    Sweep(
        clock=SystemClock(),
        log=PowertoolsLog(logger),
        ec2=Ec2(ec2, ec2, clients.window),
        runs=RunsTable(clients.dynamodb(), settings.table),
        leases=LeasesTable(clients.dynamodb(), settings.table),
        measures=EmfMeasures(settings.service, settings.namespace),
    ).sweep()
