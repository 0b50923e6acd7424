"""A bucket's notifications in S3, read and written as S3 has them, and read again after."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from functions.adapters.unanswered import UNANSWERED
from functions.domain import notifications
from functions.domain.errors import BucketError
from functions.domain.notifications import UnreadableError
from functions.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PATIENCE_S: Final = 60
"""A role's and a queue's new policies take up to a minute to be known everywhere."""
_PAUSE_S: Final = 5
_LOOK_PAUSES_S: Final = (0, 1, 2, 4, 8, 15)
"""A bucket's settings are read late: it may show for a while what it was."""
_GET: Final = "s3.GetBucketNotificationConfiguration"
_PUT: Final = "s3.PutBucketNotificationConfiguration"
_RAW: Final = "RawNotifications"
_UNNAMED_REGION: Final = "us-east-1"
_OLD_NAMES: Final = {"EU": "eu-west-1"}
"""What GetBucketLocation calls the Region of buckets that were made by that name."""


class BucketGoneError(BucketError):
    """There is no such bucket."""


@dataclass(frozen=True, slots=True)
class BucketNotifications:
    """The notifications of one account's buckets: a bucket of another account is refused.

    botocore forgets what its own version has no name for, and a write would then lose it: so the
    documents go past its model, in both directions.
    """

    s3: "S3Client"
    clock: Clock
    account: str

    def region(self, bucket: str) -> str:
        """Return a bucket's Region; raise BucketGoneError or BucketError.

        HeadBucket says it too, but needs the right to list the bucket's keys.
        """
        answer: Any = self._patiently(
            bucket,
            "Region not read",
            lambda: self.s3.get_bucket_location(Bucket=bucket, ExpectedBucketOwner=self.account),
        )
        place: str = answer.get("LocationConstraint") or _UNNAMED_REGION
        return _OLD_NAMES.get(place, place)

    def read(self, bucket: str) -> str:
        """Return a bucket's notifications; raise BucketGoneError or BucketError."""
        with self._hook(f"before-parse.{_GET}", _keep_raw):
            answer: Any = self._patiently(
                bucket,
                "notifications not read",
                lambda: self.s3.get_bucket_notification_configuration(
                    Bucket=bucket, ExpectedBucketOwner=self.account
                ),
            )
        document: str = answer[_RAW]
        try:
            notifications.ours(document)
        except UnreadableError as error:
            raise BucketError(f"{bucket}: {error}") from error
        return document

    def write(self, bucket: str, before: str, wanted: str, *, validate: bool = True) -> None:
        """Write `wanted` in the place of `before`, and see that it is so; raise BucketError.

        `validate` lets S3 try all destinations, with an `s3:TestEvent` to each queue and topic.
        Without, another's destination that is gone does not forbid to take ours out.
        """

        def replace_body(params: dict[str, Any], **_: object) -> None:
            params["body"] = wanted.encode()

        if notifications.same(before, wanted):
            return
        with self._hook(f"before-call.{_PUT}", replace_body):
            self._patiently(
                bucket,
                "notifications not written",
                lambda: self.s3.put_bucket_notification_configuration(
                    Bucket=bucket,
                    ExpectedBucketOwner=self.account,
                    NotificationConfiguration={},
                    SkipDestinationValidation=not validate,
                ),
            )
        self._see(bucket, wanted)

    def _see(self, bucket: str, wanted: str) -> None:
        lost: tuple[str, ...] = ()
        for pause_s in _LOOK_PAUSES_S:
            self.clock.sleep(pause_s)
            seen = self.read(bucket)
            lost = notifications.lost(wanted, seen)
            if (
                not lost
                and notifications.ours(seen) == notifications.ours(wanted)
                and notifications.eventbridge_is_on(seen) == notifications.eventbridge_is_on(wanted)
            ):
                return
        of_others = f"not as they were: {', '.join(lost)}" if lost else "as they were"
        raise BucketError(
            f"{bucket}: its notifications are not what was written; those of others are {of_others}"
        )

    def _patiently(self, bucket: str, failed: str, ask: Callable[[], Any]) -> Any:
        until_ns = self.clock.now_ns() + PATIENCE_S * 1_000_000_000
        while True:
            try:
                return ask()
            except ClientError as error:
                details = error.response.get("Error", {})
                if details.get("Code") == "NoSuchBucket":
                    raise BucketGoneError(f"{bucket}: there is no such bucket") from error
                if not _may_pass(details) or self.clock.now_ns() > until_ns:
                    why = "; ".join(f"{name}: {what}" for name, what in details.items())
                    raise BucketError(f"{bucket}: {failed}: {why}") from error
                self.clock.sleep(_PAUSE_S)
            except UNANSWERED as error:
                raise BucketError(f"{bucket}: {failed}: {error}") from error

    @contextmanager
    def _hook(self, event: str, hook: Callable[..., None]) -> Iterator[None]:
        self.s3.meta.events.register(event, hook)
        try:
            yield
        finally:
            self.s3.meta.events.unregister(event, hook)


def _keep_raw(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    customized_response_dict[_RAW] = response_dict["body"].decode()


def _may_pass(details: Any) -> bool:
    """Return whether a refusal may be of the first minute only."""
    if details.get("Code") in {"AccessDenied", "OperationAborted"}:
        return True
    return details.get("Code") == "InvalidArgument" and "validate" in details.get("Message", "")
