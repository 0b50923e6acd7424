"""The laws of a bucket's notifications: ours come and go, and nobody else's change."""

import itertools
from collections import Counter
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from functions.domain import notifications
from functions.domain.notifications import Notification, OverlapError, UnreadableError

QUEUE = "arn:aws:sqs:ap-northeast-1:123456789012:holdstill-uploads"
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

TEXT = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r <>&\"'"),
    max_size=8,
)
NAME = st.sampled_from(["Filter", "Id", "Event", "Tier", "ObjectSizeFilter", "S3Key"])


@st.composite
def elements(draw: st.DrawFn, name: str, depth: int) -> str:
    """Draw an element that S3 might write one day: any attributes, any children, or any text."""
    attributes = "".join(
        f' {attribute}="{escape(draw(st.text("ab <&", max_size=3)), {chr(34): "&quot;"})}"'
        for attribute in draw(st.sets(st.sampled_from(["kind", "v"])))
    )
    if depth and draw(st.booleans()):
        inside = "".join(draw(st.lists(NAME.flatmap(lambda n: elements(n, depth - 1)), max_size=3)))
    else:
        inside = escape(draw(TEXT)).replace("\r", "&#13;")
    return f"<{name}{attributes}>{inside}</{name}>"


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Draw a bucket's notifications: known kinds and future ones, none of ours."""
    parts = draw(
        st.lists(
            st.sampled_from(
                [
                    "TopicConfiguration",
                    "CloudFunctionConfiguration",
                    "QueueConfiguration",
                    "WebhookConfiguration",
                ]
            ).flatmap(lambda name: elements(name, 2)),
            max_size=4,
        )
    )
    if draw(st.booleans()):
        parts.append("<EventBridgeConfiguration/>")
    return document(*draw(st.permutations(parts)))


def document(*parts: str) -> str:
    """Return a document as S3 writes it."""
    text = "".join(parts)
    return f'<NotificationConfiguration xmlns="{NAMESPACE}">{text}</NotificationConfiguration>'


def queue(name: str, *events: str, prefix: str = "", suffix: str = "") -> str:
    """Return another's notification to a queue, with S3's own spelling of the filter."""
    rules = [("Prefix", prefix), ("Suffix", suffix)]
    filters = "".join(
        f"<FilterRule><Name>{kind}</Name><Value>{value}</Value></FilterRule>"
        for kind, value in rules
        if value
    )
    return (
        f"<QueueConfiguration><Id>{name}</Id><Queue>arn:aws:sqs:x:1:other</Queue>"
        + "".join(f"<Event>{event}</Event>" for event in events)
        + (f"<Filter><S3Key>{filters}</S3Key></Filter>" if filters else "")
        + "</QueueConfiguration>"
    )


def children(text: str) -> Counter[str]:
    """Return a document's parts, each in XML's canonical form."""
    root = ET.fromstring(text)  # noqa: S314  our own
    return Counter(ET.canonicalize(ET.tostring(part, encoding="unicode")) for part in root)


(BRIDGE,) = children(document("<EventBridgeConfiguration/>"))


@given(documents(), st.sampled_from([(), ("",), ("a/", "b/")]))
@example(document("<QueueConfiguration><Tier>\r\n </Tier></QueueConfiguration>"), ("a/",))
@settings(max_examples=100)
def test_putting_ours_leaves_each_other_as_it_was(text: str, prefixes: tuple[str, ...]) -> None:
    """Whatever a bucket has, known or not, to the last space: it is there after the write."""
    before = children(text)
    try:
        after = notifications.queue_put(text, QUEUE, prefixes)
    except OverlapError:
        return
    assert not before - children(after)
    assert (children(after) - before).total() == len(prefixes)
    assert not notifications.lost(text, after)
    assert {found.prefix for found in notifications.ours(after)} == set(prefixes)
    assert {found.destination for found in notifications.ours(after)} <= {QUEUE}


@given(documents())
@settings(max_examples=80)
def test_put_then_taken_is_what_it_was(text: str) -> None:
    """Our queue leaves no trace, and EventBridge none but itself."""
    before = children(text)
    try:
        put = notifications.queue_put(text, QUEUE, ["a/", "b/"])
    except OverlapError:
        pass
    else:
        assert children(notifications.queue_taken(put)) == before
        again = notifications.queue_put(put, QUEUE, ["a/", "b/"])
        assert notifications.same(put, again), "a second put is the same put"
    on = notifications.eventbridge_put(text)
    assert notifications.eventbridge_is_on(on)
    assert children(on) - before <= Counter([BRIDGE])
    assert not before - children(on)


@given(documents(), documents())
def test_a_loss_of_others_is_named(one: str, two: str) -> None:
    """What one document has and the other has not is never taken for the same."""
    missing = children(one) - children(two)
    if not missing:
        assert not notifications.lost(one, two)
    for part in missing:
        without = document(*(children(one) - Counter([part])).elements())
        if part not in children(without):
            assert notifications.lost(one, without)
            assert not notifications.same(one, without)


def test_our_ids_are_ours_only_at_a_queue() -> None:
    """A function of somebody else's whose id begins like ours stays."""
    other = (
        "<CloudFunctionConfiguration><Id>holdstill-thumbnails</Id>"
        "<CloudFunction>arn:aws:lambda:x:1:function:f</CloudFunction>"
        "<Event>s3:ObjectTagging:*</Event></CloudFunctionConfiguration>"
    )
    put = notifications.queue_put(document(other), QUEUE, [""])
    assert children(notifications.queue_taken(put)) == children(document(other))


def test_our_queue_hears_of_every_change() -> None:
    """Created of every kind, removed of every kind, and expired."""
    (ours,) = notifications.ours(notifications.queue_put(document(), QUEUE, [""]))
    assert ours.events == {
        "s3:ObjectCreated:*",
        "s3:ObjectRemoved:*",
        "s3:LifecycleExpiration:*",
    }


TYPES = [
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Copy",
    "s3:ObjectRemoved:Delete",
    "s3:LifecycleExpiration:Delete",
]
PATTERNS = [*TYPES, "s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:*"]
KEYS = ["".join(letters) for n in range(5) for letters in itertools.product("ab", repeat=n)]
EDGES = ["".join(letters) for n in range(3) for letters in itertools.product("ab", repeat=n)]


@given(
    st.sets(st.sampled_from(PATTERNS), min_size=1),
    st.sets(st.sampled_from(PATTERNS), min_size=1),
    st.tuples(*[st.sampled_from(EDGES)] * 4),
)
@settings(max_examples=200)
def test_two_overlap_where_one_event_reaches_both(
    one: set[str], two: set[str], edges: tuple[str, str, str, str]
) -> None:
    """Against brute force: every event type and every short key, tried at both."""
    first = Notification("1", "x", frozenset(one), edges[0], edges[1])
    second = Notification("2", "y", frozenset(two), edges[2], edges[3])

    def takes(notification: Notification, event: str, key: str) -> bool:
        return (
            key.startswith(notification.prefix)
            and key.endswith(notification.suffix)
            and any(
                event == pattern or (pattern[-1] == "*" and event.startswith(pattern[:-1]))
                for pattern in notification.events
            )
        )

    reached = any(
        takes(first, event, key) and takes(second, event, key) for event in TYPES for key in KEYS
    )
    assert first.overlaps(second) is reached
    assert second.overlaps(first) is reached


def test_an_overlap_names_the_other_and_the_way_out() -> None:
    """Whoever reads the failure knows whose notification it is, and what to write instead."""
    taken = document(
        queue("thumbnails", "s3:ObjectCreated:Put", prefix="site/img/", suffix=".png"),
        queue("audit", "s3:ObjectRemoved:*", prefix="logs/"),
    )
    with pytest.raises(OverlapError) as caught:
        notifications.queue_put(taken, QUEUE, ["site/"])
    assert '"thumbnails"' in str(caught.value)
    assert "arn:aws:sqs:x:1:other" in str(caught.value)
    assert 'events = "eventbridge"' in str(caught.value)
    assert "audit" not in str(caught.value)


def test_what_shares_no_event_or_no_key_is_no_overlap() -> None:
    """Another's tags, another's folder: S3 takes ours beside them."""
    beside = document(
        queue("tags", "s3:ObjectTagging:*"), queue("logs", "s3:ObjectCreated:*", prefix="logs/")
    )
    assert len(notifications.ours(notifications.queue_put(beside, QUEUE, ["site/"]))) == 1


@pytest.mark.parametrize("text", ["", "{}", "<Error/>", "<NotificationConfiguration>"])
def test_what_is_no_document_of_notifications_is_refused(text: str) -> None:
    """Nothing is ever written in the place of what could not be read."""
    with pytest.raises(UnreadableError):
        notifications.queue_put(text, QUEUE, [""])
