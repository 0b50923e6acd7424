"""A bucket's notifications: ours, known by their ids, among others' that are never touched.

S3 keeps one document for all of a bucket's notifications, and a write replaces the whole of it. So
it is kept here as S3 wrote it, and elements are put in and taken out: what this version of ours,
or of botocore, has no name for goes back as it came. Each function takes the document of
GetBucketNotificationConfiguration and returns the one to put, or raises UnreadableError.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from functions.domain.errors import ConfigurationError, HoldstillError

EVENTS: Final = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*")
"""All by which what a visitor sees of a key can change."""
OUR_IDS: Final = "holdstill-"

_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
_ROOT: Final = "NotificationConfiguration"
_EVENTBRIDGE: Final = "EventBridgeConfiguration"
_QUEUE: Final = "QueueConfiguration"

ET.register_namespace("", _NAMESPACE)  # S3 writes its own elements without a prefix, so do we


class UnreadableError(HoldstillError):
    """A bucket's notifications are not a document that S3 would write."""


class OverlapError(ConfigurationError):
    """S3 would refuse our notifications beside another's: `faults` names each."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What of one notification decides whether it overlaps with another."""

    id: str
    destination: str
    events: frozenset[str]
    prefix: str = ""
    suffix: str = ""

    def overlaps(self, other: "Notification") -> bool:
        """Return whether S3 would refuse the two in one bucket, wherever they go.

        Its rule: they share an event type, and their prefixes overlap, and their suffixes do.
        Then some key has both prefixes and both suffixes.
        """
        return (
            any(_shared(one, two) for one in self.events for two in other.events)
            and _one_begins(self.prefix, other.prefix)
            and _one_begins(self.suffix[::-1], other.suffix[::-1])
        )


def queue_put(document: str, queue_arn: str, prefixes: Sequence[str]) -> str:
    """Put in the notifications of our queue, one a prefix; earlier ones of ours are taken out.

    Raise OverlapError for what S3 would refuse. An empty prefix is the whole bucket.
    """
    root = _read(queue_taken(document))
    ours = [
        Notification(f"{OUR_IDS}uploads-{number}", queue_arn, frozenset(EVENTS), prefix)
        for number, prefix in enumerate(prefixes, 1)
    ]
    _refuse_overlaps(ours, [_notification(element) for element in _configurations(root)])
    for notification in ours:
        root.append(_element(root, notification))
    return _written(root)


def queue_taken(document: str) -> str:
    """Take out the notifications of our queue."""
    root = _read(document)
    for element in [element for element in root if _is_ours(element)]:
        root.remove(element)
    return _written(root)


def ours(document: str) -> frozenset[Notification]:
    """Return the notifications of our queue."""
    return frozenset(_notification(element) for element in _read(document) if _is_ours(element))


def eventbridge_put(document: str) -> str:
    """Let the bucket tell EventBridge of everything."""
    root = _read(document)
    if not any(_name(element) == _EVENTBRIDGE for element in root):
        ET.SubElement(root, _tag(root, _EVENTBRIDGE))
    return _written(root)


def eventbridge_is_on(document: str) -> bool:
    """Return whether the bucket tells EventBridge of everything."""
    return any(_name(element) == _EVENTBRIDGE for element in _read(document))


def lost(wanted: str, seen: str) -> tuple[str, ...]:
    """Return what `wanted` has of others and `seen` has not just so, each by its id."""
    missing = Counter(_others(wanted))
    missing.subtract(_others(seen))
    return tuple(name for (name, _), count in missing.items() if count > 0)


def same(one: str, two: str) -> bool:
    """Return whether two documents say the same, ours and others', in whatever order."""
    return ours(one) == ours(two) and Counter(_others(one)) == Counter(_others(two))


def _read(document: str) -> Element:
    try:
        root = ET.fromstring(document)  # noqa: S314  its author is S3
    except ET.ParseError as error:
        raise UnreadableError(f"the notifications are no XML: {error}") from error
    if _name(root) != _ROOT:
        raise UnreadableError(f"the notifications are not a {_ROOT}, but a {_name(root)}")
    return root


def _written(root: Element) -> str:
    # A reader takes a bare carriage return for a line's end, and ElementTree writes it bare.
    return ET.tostring(root, encoding="unicode").replace("\r", "&#13;")


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _tag(root: Element, name: str) -> str:
    return root.tag.removesuffix(_ROOT) + name


def _is_ours(element: Element) -> bool:
    return _name(element) == _QUEUE and "".join(_texts(element, "Id")).startswith(OUR_IDS)


def _configurations(root: Element) -> Iterator[Element]:
    return (element for element in root if _name(element) != _EVENTBRIDGE)


def _texts(element: Element, name: str) -> list[str]:
    return [child.text or "" for child in element if _name(child) == name]


def _notification(element: Element) -> Notification:
    """Read a notification of whatever kind: beside its filter, events and id it has one text."""
    destinations = [
        child.text or "" for child in element if _name(child) not in {"Id", "Event", "Filter"}
    ]
    filters = dict.fromkeys(("prefix", "suffix"), "")
    for rule in (found for found in element.iter() if _name(found) == "FilterRule"):
        # S3 answers "Prefix" to who wrote "prefix".
        filters["".join(_texts(rule, "Name")).lower()] = "".join(_texts(rule, "Value"))
    return Notification(
        id="".join(_texts(element, "Id")),
        destination=" ".join(destinations),
        events=frozenset(_texts(element, "Event")),
        prefix=filters["prefix"],
        suffix=filters["suffix"],
    )


def _element(root: Element, notification: Notification) -> Element:
    element = Element(_tag(root, _QUEUE))
    ET.SubElement(element, _tag(root, "Id")).text = notification.id
    ET.SubElement(element, _tag(root, "Queue")).text = notification.destination
    for event in EVENTS:
        ET.SubElement(element, _tag(root, "Event")).text = event
    if notification.prefix:
        key = ET.SubElement(ET.SubElement(element, _tag(root, "Filter")), _tag(root, "S3Key"))
        rule = ET.SubElement(key, _tag(root, "FilterRule"))
        ET.SubElement(rule, _tag(root, "Name")).text = "prefix"
        ET.SubElement(rule, _tag(root, "Value")).text = notification.prefix
    return element


def _refuse_overlaps(wanted: Iterable[Notification], others: Sequence[Notification]) -> None:
    taken = dict.fromkeys(
        f'"{other.id}" ({other.destination}) takes {", ".join(sorted(other.events))} of '
        + (f'"{other.prefix}…{other.suffix}"' if other.prefix or other.suffix else "every key")
        for notification in wanted
        for other in others
        if notification.overlaps(other)
    )
    if taken:
        raise OverlapError(
            "S3 allows no second notification for the same events and keys",
            [*taken, 'give the bucket\'s sites `events = "eventbridge"`, which overlaps with none'],
        )


def _others(document: str) -> list[tuple[str, str]]:
    """Return all that is not ours: by what to call it, and in a form that knows no order."""
    return [
        (_called(element), _form(element)) for element in _read(document) if not _is_ours(element)
    ]


def _called(element: Element) -> str:
    return "".join(_texts(element, "Id")) or _name(element)


def _form(element: Element) -> str:
    text = element.text or ""
    if len(element):
        text = text.strip()  # between children it only makes the document pretty
    children = sorted(_form(child) for child in element)
    return repr((element.tag, sorted(element.attrib.items()), text, children))


def _shared(one: str, two: str) -> bool:
    """Return whether two event types have a type in common; only a last `*` stands for more."""
    stems = (one.removesuffix("*"), two.removesuffix("*"))
    match one.endswith("*"), two.endswith("*"):
        case True, True:
            return _one_begins(*stems)
        case True, False:
            return two.startswith(stems[0])
        case False, True:
            return one.startswith(stems[1])
        case _:
            return one == two


def _one_begins(one: str, two: str) -> bool:
    return one.startswith(two) or two.startswith(one)
