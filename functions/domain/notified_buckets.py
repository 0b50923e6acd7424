"""What Holdstill wants of a bucket's notifications, and what it holds there.

| from | to | in the bucket | then CloudFormation deletes |
|---|---|---|---|
| nothing | s3 | our queue is put | |
| nothing | eventbridge | EventBridge is put | |
| s3 | eventbridge | EventBridge is put, our queue stays | s3: our queue is taken |
| eventbridge | s3 | our queue is put | eventbridge: nothing is taken |

What a change replaces stays until it is deleted, so that few uploads are missed (S3 takes around
five minutes to switch EventBridge on) and that whoever rolls the change back finds it as it was.
EventBridge is nobody's: it stays on for whoever else listens.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from functions.domain import notifications
from functions.domain.errors import ConfigurationError
from functions.domain.site import EventSource, Site

_PREFIX: Final = "holdstill"
_PLAIN: Final = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-",
)


class WantedError(ConfigurationError):
    """A stack's properties do not say what is wanted of a bucket."""


class OtherRegionError(ConfigurationError):
    """A bucket is in another Region than the stack, which would not hear of its changes."""


class Hold(StrEnum):
    """What Holdstill has made of a bucket. Only our queue is ours, and is taken out again."""

    NOTHING = "nothing"
    QUEUE = "s3"
    EVENTBRIDGE = "eventbridge"


@dataclass(frozen=True, slots=True)
class Held:
    """A bucket and our hold on it; as text it is the resource's PhysicalResourceId."""

    bucket: str
    hold: Hold

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return what a PhysicalResourceId says; None for one that is not ours.

        Earlier versions wrote what EventBridge was before behind a hyphen: `s3-after-eventbridge`,
        `eventbridge-found`.
        """
        match text.split("/"):
            case [prefix, bucket, hold] if prefix == _PREFIX and hold.split("-")[0] in set(Hold):
                return cls(bucket, Hold(hold.split("-")[0]))
        return None

    def __str__(self) -> str:
        return f"{_PREFIX}/{self.bucket}/{self.hold}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a bucket is to tell of its changes; by S3 itself, of the keys with the prefixes."""

    bucket: str
    events: EventSource
    queue_arn: str
    prefixes: tuple[str, ...]

    @classmethod
    def of(cls, sites: Iterable[Site], queue_arn: str) -> Self:
        """Return what the sites of one bucket want; EventBridge if one of them does."""
        every = tuple(sites)
        (bucket,) = {site.bucket for site in every}
        by_eventbridge = any(site.events is EventSource.EVENTBRIDGE for site in every)
        events = EventSource.EVENTBRIDGE if by_eventbridge else EventSource.S3
        return cls(bucket, events, queue_arn, prefixes(every))

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> Self:
        """Return what `to_properties` wrote; raise WantedError."""
        match properties:
            case {
                "Bucket": str(bucket),
                "Events": "s3" | "eventbridge" as events,
                "QueueArn": str(queue_arn),
                "Prefixes": [str(), *_] as prefixes,
            } if bucket and queue_arn:
                return cls(bucket, EventSource(events), queue_arn, tuple(map(str, prefixes)))
        names = ("Bucket", "Events", "QueueArn", "Prefixes")
        raise WantedError("properties", [f"they must have {', '.join(names)}"])

    def to_properties(self) -> dict[str, Any]:
        """Return the custom resource's properties."""
        return {
            "Bucket": self.bucket,
            "Events": str(self.events),
            "QueueArn": self.queue_arn,
            "Prefixes": list(self.prefixes),
        }


def prefixes(sites: Iterable[Site]) -> tuple[str, ...]:
    """Return the fewest prefixes that have all of the sites' keys; the empty one has every key.

    S3 wants other characters than letters, digits and a few in a filter of its own encoding. A
    prefix is cut before the first of them: more events come, and are ignored; else none would.
    """
    every = {_plain(f"{site.origin_path}/".lstrip("/")) for site in sites}
    return tuple(
        sorted(
            prefix
            for prefix in every
            if not any(prefix != other and prefix.startswith(other) for other in every)
        )
    )


def refuse_other_region(bucket: str, its_region: str, our_region: str) -> None:
    """Raise OtherRegionError unless the bucket is in the stack's Region.

    S3 refuses queues of other Regions, but takes EventBridge, whose events stay in the bucket's.
    """
    if its_region != our_region:
        raise OtherRegionError(
            bucket,
            [
                f"it is in {its_region}, and tells nothing to this stack in {our_region}",
                f"deploy its sites in {its_region}, or take them out of holdstill.toml",
            ],
        )


def put(document: str, wanted: Wanted) -> tuple[str, Held]:
    """Return the document to put for what is wanted, and what is then held.

    Raise OverlapError where S3 would refuse.
    """
    if wanted.events is EventSource.S3:
        document = notifications.queue_put(document, wanted.queue_arn, wanted.prefixes)
        return document, Held(wanted.bucket, Hold.QUEUE)
    return notifications.eventbridge_put(document), Held(wanted.bucket, Hold.EVENTBRIDGE)


def _plain(prefix: str) -> str:
    cut = next((at for at, letter in enumerate(prefix) if letter not in _PLAIN), len(prefix))
    return prefix[:cut]
