"""The Lambda that adds Holdstill's notifications to buckets that exist, for CloudFormation.

PhysicalResourceId says what is held of a bucket: a Delete takes out our queue, if it is that.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools import Logger

from functions.adapters import clients
from functions.adapters.bucket_notifications import BucketGoneError, BucketNotifications
from functions.adapters.clock import SystemClock
from functions.adapters.telemetry import PowertoolsLog
from functions.custom_resource import Answer, Request
from functions.domain import notifications, notified_buckets
from functions.domain.errors import BucketError
from functions.domain.notified_buckets import Held, Hold, Wanted
from functions.ports import Log

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_RESERVED_MS: Final = 20_000
"""Of the function's own time: for an answer with its repeats, and for what S3 is doing then."""

logger = Logger()


class TooLateError(BucketError):
    """The time is over and CloudFormation was told so: nothing more may be written."""


@dataclass(slots=True)
class Holder:
    """Obeys one request. `held` is what there is of ours at any instant, for whoever answers."""

    request: Request
    buckets: BucketNotifications
    too_late: Callable[[], bool]
    held: str = field(init=False)

    def __post_init__(self) -> None:
        # A Create that wrote nothing must not have its failure's Delete take out anything.
        nothing = Held(str(self.request.properties.get("Bucket", "")), Hold.NOTHING)
        self.held = self.request.physical_id or str(nothing)

    def obey(self) -> None:
        """Do what is asked. Raise BucketError, OtherRegionError, OverlapError or WantedError."""
        if self.request.kind == "Delete":
            self._delete()
        else:
            self._put(Wanted.from_properties(self.request.properties))

    def _put(self, wanted: Wanted) -> None:
        its_region = self.buckets.region(wanted.bucket)
        notified_buckets.refuse_other_region(wanted.bucket, its_region, self.request.region)
        before = self.buckets.read(wanted.bucket)
        document, held = notified_buckets.put(before, wanted)
        self._refuse_late()
        if self.request.kind == "Create":
            self.held = str(held)  # from here on a failure leaves something to delete
        self.buckets.write(wanted.bucket, before, document)
        if Held.parse(self.held) != held:  # another spelling of the same would be a replacement
            self.held = str(held)

    def _delete(self) -> None:
        # A Create that never answered has an id of CloudFormation's: what it put is known by ours.
        bucket = str(self.request.properties.get("Bucket", ""))
        held = Held.parse(self.request.physical_id) or Held(bucket, Hold.QUEUE)
        if held.hold is not Hold.QUEUE or not held.bucket:
            return
        try:
            before = self.buckets.read(held.bucket)
            self._refuse_late()
            document = notifications.queue_taken(before)
            self.buckets.write(held.bucket, before, document, validate=False)
        except BucketGoneError:
            return

    def _refuse_late(self) -> None:
        if self.too_late():
            raise TooLateError("the time was over before anything was written")


def answer(request: Request, buckets: BucketNotifications, log: Log, left_ms: int) -> None:
    """Obey a request, and answer it whatever happens; raise AnswerError where that is impossible.

    `left_ms` is what the function has left to live.
    """
    given = Answer(request)
    holder = Holder(request, buckets, lambda: given.given)

    def give_up() -> None:
        given.failed(holder.held, "the function's time was nearly over: see its log group")

    watch = threading.Timer(max(0, left_ms - _RESERVED_MS) / 1000, give_up)
    watch.daemon = True
    watch.start()
    try:
        holder.obey()
    except Exception as error:  # noqa: BLE001  whatever it is, CloudFormation waits for an answer
        log.fault("notifications_not_set", error=repr(error), held=holder.held)
        given.failed(holder.held, f"{error}" or repr(error))
    else:
        log.event("notifications_set", held=holder.held)
        given.succeeded(holder.held)
    finally:
        watch.cancel()


@logger.inject_lambda_context(clear_state=True)
def handler(event: Mapping[str, Any], context: "LambdaContext") -> None:
    """Obey a request of CloudFormation's."""
    request = Request.of(event)
    buckets = BucketNotifications(clients.s3(), SystemClock(), request.account)
    answer(request, buckets, PowertoolsLog(logger), context.get_remaining_time_in_millis())
