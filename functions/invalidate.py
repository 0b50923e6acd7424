"""The Lambda that invalidates: a wake is one distribution's turn, the schedule looks at all."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aws_lambda_powertools import Logger

from functions.adapters import clients
from functions.adapters.account_table import AccountTable
from functions.adapters.batches_table import BatchesTable
from functions.adapters.clock import SystemClock
from functions.adapters.cloudfront import CloudFrontApi
from functions.adapters.leases_table import LeasesTable
from functions.adapters.objects import S3Objects
from functions.adapters.telemetry import PowertoolsLog
from functions.adapters.upload_telemetry import EmfUploadMeasures
from functions.adapters.uploads_table import UploadsTable
from functions.adapters.wakes import SqsWakes
from functions.domain.errors import AwsError
from functions.domain.wakes import distribution_of, is_sweep
from functions.invalidating import Turn
from functions.settings import UploadSettings, sites_beside
from functions.upload_ports import UploadWorld
from functions.uploads_sweeping import UploadsSweep
from holdstill_protocol.errors import MalformedMessageError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()

_settings = cache(lambda: UploadSettings.from_environment(os.environ))
_sites = cache(lambda: sites_beside(Path(__file__).parent))


@logger.inject_lambda_context(clear_state=True)
def handler(event: Mapping[str, Any], context: "LambdaContext") -> dict[str, object]:
    """Take a distribution's turn, or sweep; answer with the wakes that are to come again."""
    world = _world(_settings())
    if is_sweep(event):
        UploadsSweep(world, _sites()).sweep()
        return {"batchItemFailures": []}
    ends_at_ms = world.clock.now_ns() // 1_000_000 + context.get_remaining_time_in_millis()
    failed = [
        record["messageId"]
        for record in event["Records"]
        if not _took_turn(world, record["body"], ends_at_ms)
    ]
    return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}


def _took_turn(world: UploadWorld, body: str, ends_at_ms: int) -> bool:
    """Return whether the wake is dealt with. What was left half done is found in the table."""
    try:
        distribution = distribution_of(body)
        logger.append_keys(distribution=distribution)
        if not _sites().of_distribution(distribution):
            world.log.fault("wake-for-no-site", distribution=distribution)
            return True  # its site was taken out of the configuration
        Turn(world, _sites(), distribution, uuid4().hex, ends_at_ms).take()
    except MalformedMessageError as error:
        world.log.fault("wake-unreadable", detail=str(error))
        return False
    except AwsError as error:
        world.log.fault("turn-failed", detail=str(error))
        return False
    return True


def _world(settings: UploadSettings) -> UploadWorld:
    dynamodb, table = clients.dynamodb(), settings.table
    return UploadWorld(
        clock=SystemClock(),
        log=PowertoolsLog(logger),
        uploads=UploadsTable(dynamodb, table),
        batches=BatchesTable(dynamodb, table),
        account=AccountTable(dynamodb, table),
        leases=LeasesTable(dynamodb, table, "DISTRIBUTION"),
        cloudfront=CloudFrontApi(clients.cloudfront(), clients.cloudfront_once()),
        objects=S3Objects(clients.s3()),
        wakes=SqsWakes(dynamodb, table, clients.wakes(), settings.wakes_url),
        measures=EmfUploadMeasures(settings.service, settings.namespace),
    )
