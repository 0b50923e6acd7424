"""What happened in a bucket, from a message of S3's or of EventBridge's.

Sources: "Event message structure" and "EventBridge event message structure", Amazon S3 User Guide.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import unquote_plus

from functions.domain.errors import HoldstillError
from holdstill_protocol.errors import MalformedMessageError
from holdstill_protocol.fields import Fields


class Kind(StrEnum):
    """What happened to an object. A delete marker removes; a folder's marker is an object."""

    CREATED = "created"
    REMOVED = "removed"
    EXPIRED = "expired"
    """Removed by a lifecycle rule: S3 sends no ObjectRemoved for it."""
    ASKED = "asked"
    """Nothing, but somebody asked by hand that it be cleared. No event is read as this."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one object: `key` as the bucket has it.

    `sequencer`: hexadecimal digits, None where the event has none. `at`: when S3 was done with the
    request, in UTC; EventBridge leaves its fraction of a second off.
    """

    bucket: str
    key: str
    kind: Kind
    sequencer: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """What a message says. `ignored`: the names of its events that change nothing to be seen."""

    changes: tuple[Change, ...] = ()
    ignored: tuple[str, ...] = ()


class UnreadableEventError(HoldstillError):
    """A message, or some of its records, cannot be read: leave it to the dead-letter queue.

    `readable` is what the other records say, which need not wait for somebody to look at it.
    """

    def __init__(self, faults: Iterable[str], readable: Reading) -> None:
        self.faults = tuple(faults)
        self.readable = readable
        super().__init__("; ".join(self.faults))


_KINDS: Final = {
    "ObjectCreated": Kind.CREATED,
    "ObjectRemoved": Kind.REMOVED,
    "LifecycleExpiration": Kind.EXPIRED,
}
"""By the name before the colon: a new way to create an object creates one all the same."""

_TEST: Final = "s3:TestEvent"
_VERSION: Final = re.compile(r"2\.[0-9]+")
_DETAIL_VERSION: Final = re.compile(r"1\.[0-9]+")
"""A new minor version adds fields; a new major one means that what is there may mean another
thing, and a key that is read wrongly would clear nothing and say nothing."""

_SEQUENCER: Final = re.compile(r"[0-9A-Fa-f]+")
_NO_CODE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def read(body: str) -> Reading:
    """Return what a message's body says; raise UnreadableEventError for what it should not hold."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableEventError(["not JSON"], Reading()) from error
    match event:
        case {"Records": list(records)}:
            return _all(records, _record)
        case {"source": "aws.s3", "detail-type": str()}:
            return _all([event], _bridged)
        case {"Event": str(name)} if name == _TEST:  # sent when notifications are configured
            return Reading(ignored=(_TEST,))
        case _:
            raise UnreadableEventError(["neither S3's nor EventBridge's of S3"], Reading())


def supersedes(new: Change, old: Change) -> bool:
    """Return whether `new` has anything to add to `old`, which is of the same object.

    Sequencers order the changes of one key: the shorter is filled up with zeros on its right, then
    they compare as text. Where one has none, or only one begins with the zero byte that S3's own
    messages have and EventBridge's do not, the times decide, and a tie is a change (in the same
    millisecond, S3's smallest unit): the same again costs a path at most, a lost one a stale file.
    An earlier one is nothing lost: what clears the
    later change clears it too. Keep the later `at` of the two, for clocks may disagree.
    """
    if new.sequencer is None or old.sequencer is None:
        return _is_not_before(new.at, old.at)
    ours, theirs = new.sequencer.lower(), old.sequencer.lower()
    if ours.startswith("00") is not theirs.startswith("00"):
        return _is_not_before(new.at, old.at)
    length = max(len(ours), len(theirs))
    return ours.ljust(length, "0") > theirs.ljust(length, "0")


def _is_not_before(new_at: datetime, old_at: datetime) -> bool:
    return new_at >= old_at.replace(microsecond=old_at.microsecond // 1000 * 1000)


def _all(records: list[Any], reader: Callable[[Fields], Change | str]) -> Reading:
    changes, ignored, faults = [], [], []
    for place, record in enumerate(records):
        try:
            if not isinstance(record, dict):
                raise MalformedMessageError("must be an object")  # noqa: TRY301  as its fields'
            match reader(Fields(record)):
                case Change() as change:
                    changes.append(change)
                case name:
                    ignored.append(name)
        except MalformedMessageError as error:
            faults.append(f"record {place}: {error}")
    reading = Reading(tuple(changes), tuple(ignored))
    if faults:
        raise UnreadableEventError(faults, reading)
    return reading


def _record(fields: Fields) -> Change | str:
    """Return the change of one of S3's records, or the name of one that is none."""
    _check_version("eventVersion", fields.text("eventVersion"), _VERSION)
    name = fields.text("eventName").removeprefix("s3:")
    kind = _KINDS.get(name.partition(":")[0])
    if kind is None:
        return name
    s3 = _object(fields, "s3")
    if name == "LifecycleExpiration:Delete" and _is_version(s3, "versionId"):
        return name
    key = _form_decoded(_object(s3, "object").name("key"))
    return _change(s3, kind, key, fields.instant("eventTime"))


def _bridged(fields: Fields) -> Change | str:
    """Return the change of an EventBridge event, whose key is the key itself, or its name."""
    name, detail = fields.text("detail-type"), _object(fields, "detail")
    if version := detail.text_or_none("event-version"):  # older events have none
        _check_version("event-version", version, _DETAIL_VERSION)
    if name == "Object Created":
        kind = Kind.CREATED
    elif name == "Object Deleted":
        expired = detail.text_or_none("reason") == "Lifecycle Expiration"
        for_good = detail.text_or_none("deletion-type") == "Permanently Deleted"
        if expired and for_good and _is_version(detail, "version-id"):
            return name
        kind = Kind.EXPIRED if expired else Kind.REMOVED
    else:
        return name
    return _change(detail, kind, _object(detail, "object").name("key"), fields.instant("time"))


def _change(fields: Fields, kind: Kind, key: str, at: datetime) -> Change:
    bucket = _object(fields, "bucket").name("name")
    sequencer = _object(fields, "object").text_or_none("sequencer")
    if sequencer is not None and not _SEQUENCER.fullmatch(sequencer):
        sequencer = None  # of no use for an order; the time is
    return Change(bucket, key, kind, sequencer, at)


def _is_version(fields: Fields, version_name: str) -> bool:
    """Return whether the object is a version of one in a bucket with versioning.

    A lifecycle rule puts a delete marker over the current version, which is an event of its own.
    What it deletes for good was not current any more, and no visitor sees it.
    """
    return _object(fields, "object").text_or_none(version_name) not in {None, "", "null"}


def _object(fields: Fields, name: str) -> Fields:
    if found := fields.object_or_none(name):
        return found
    raise MalformedMessageError(f"{name} must be an object")


def _check_version(name: str, version: str, known: re.Pattern[str]) -> None:
    if not known.fullmatch(version):
        raise MalformedMessageError(f"{name} {version} is not one that this version reads")


def _form_decoded(key: str) -> str:
    """Return the key that S3 wrote as a form's value: `+` is a space. Once, never twice."""
    try:
        if not _NO_CODE.search(key):
            return unquote_plus(key, errors="strict")
    except UnicodeDecodeError:
        pass
    raise MalformedMessageError("object.key must be form-encoded UTF-8")
