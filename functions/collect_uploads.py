"""The Lambda that collects uploads: one batch of a bucket's messages, noted in the table."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from functions.adapters import clients
from functions.adapters.clock import SystemClock
from functions.adapters.telemetry import PowertoolsLog
from functions.adapters.upload_telemetry import EmfUploadMeasures
from functions.adapters.uploads_table import UploadsTable
from functions.adapters.wakes import SqsWakes
from functions.collecting import Collector
from functions.domain.deliveries import Delivery
from functions.settings import UploadSettings, sites_beside

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()

_settings = cache(lambda: UploadSettings.from_environment(os.environ))
_sites = cache(lambda: sites_beside(Path(__file__).parent))


@logger.inject_lambda_context(clear_state=True)
def handler(event: Mapping[str, Any], _context: "LambdaContext") -> dict[str, object]:
    """Note the changes; answer with the messages that nobody can read.

    Any error has all of the messages delivered again: what is noted already is a repetition then.
    """
    settings = _settings()
    dynamodb, table = clients.dynamodb(), settings.table
    collector = Collector(
        sites=_sites(),
        clock=SystemClock(),
        log=PowertoolsLog(logger),
        uploads=UploadsTable(dynamodb, table),
        wakes=SqsWakes(dynamodb, table, clients.wakes(), settings.wakes_url),
        measures=EmfUploadMeasures(settings.service, settings.namespace),
    )
    messages = [Delivery(record["body"], record["messageId"]) for record in event["Records"]]
    failed = collector.collect(messages)
    return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}
