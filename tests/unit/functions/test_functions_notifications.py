"""The laws of a bucket's notifications: ours come and go, and nobody else's change."""

import itertools
from collections import Counter
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from functions.domain import notifications, notified_buckets
from functions.domain.notifications import Notification, OverlapError, UnreadableError
from functions.domain.notified_buckets import Held, Hold, Wanted, WantedError
from functions.domain.site import EventSource, Site

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


def wanted(events: EventSource = EventSource.S3, *prefixes: str) -> Wanted:
    """Return what a site wants of its bucket."""
    return Wanted("example-static", events, QUEUE, prefixes or ("",))


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
    """Neither way of ours leaves a trace."""
    before = children(text)
    try:
        put = notifications.queue_put(text, QUEUE, ["a/", "b/"])
    except OverlapError:
        pass
    else:
        assert children(notifications.queue_taken(put)) == before
        again = notifications.queue_put(put, QUEUE, ["a/", "b/"])
        assert notifications.same(put, again), "a second put is the same put"
    for hold in (Hold.NOTHING, Hold.EVENTBRIDGE_FOUND):
        assert children(notified_buckets.taken(text, hold)) == before
    after, held = notified_buckets.put(text, wanted(EventSource.EVENTBRIDGE), None)
    assert notifications.eventbridge_is_on(after)
    assert children(notified_buckets.taken(after, held.hold)) == before


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


def site(origin_path: str = "", events: EventSource = EventSource.S3) -> Site:
    """Return a site of the one bucket."""
    return Site("x", "example-static", ("E1EXAMPLE",), origin_path, events=events)


@given(st.lists(st.text("ab/ (é", max_size=5), min_size=1, max_size=4))
def test_every_key_of_a_site_has_one_of_the_prefixes(origins: list[str]) -> None:
    """No upload to a site's origin path is filtered out, and no prefix covers another."""
    sites = [
        site("/" + "/".join(part for part in origin.split("/") if part) if origin else "")
        for origin in origins
    ]
    prefixes = notified_buckets.prefixes(sites)
    for each in sites:
        assert f"{each.origin_path}/k".lstrip("/").startswith(prefixes)
    for one, two in itertools.permutations(prefixes, 2):
        assert not one.startswith(two)


def test_the_prefixes_are_the_fewest() -> None:
    """A folder within another's needs no prefix; the whole bucket needs none at all."""
    assert notified_buckets.prefixes([site("/a"), site("/a/b"), site("/ab")]) == ("a/", "ab/")
    assert notified_buckets.prefixes([site("/a"), site()]) == ("",)
    assert notified_buckets.prefixes([site("/site (1)/x")]) == ("site",)


def test_one_site_that_asks_for_eventbridge_decides_for_its_bucket() -> None:
    """A bucket whose notifications are taken is taken for all of its sites."""
    both = Wanted.of([site("/a"), site("/b", EventSource.EVENTBRIDGE)], QUEUE)
    assert both.events is EventSource.EVENTBRIDGE
    assert Wanted.from_properties(both.to_properties()) == both
    with pytest.raises(WantedError):
        Wanted.from_properties({**both.to_properties(), "Events": "sns"})


@pytest.mark.parametrize("hold", list(Hold))
def test_what_is_held_is_told_by_its_id(hold: Hold) -> None:
    """CloudFormation keeps the only memory there is; of other ids nothing is believed."""
    held = Held("example-static", hold)
    assert Held.parse(str(held)) == held
    assert Held.parse(f"x{held}") is None
    assert Held.parse("holdstill-uploads-Notifications-1ABC") is None


CHANGES = list(itertools.product([None, *EventSource], EventSource, [False, True], [False, True]))


@pytest.mark.parametrize(("before", "after", "on", "rolled_back_by_update"), CHANGES)
def test_a_change_and_its_roll_back_end_where_they_should(
    before: EventSource | None,
    after: EventSource,
    on: bool,
    rolled_back_by_update: bool,
) -> None:
    """From each mode to each: done, undone in either way of CloudFormation's, and destroyed."""
    other = queue("other", "s3:ObjectTagging:*")
    stranger = document(other, "<EventBridgeConfiguration/>" if on else "")
    text, old = stranger, None
    if before:
        text, old = notified_buckets.put(text, wanted(before), None)
    started = text
    changed, new = notified_buckets.put(text, wanted(after), old)
    assert not notifications.lost(text, changed), "what was there stays until it is deleted"

    undone = changed
    if old and rolled_back_by_update:
        undone, back = notified_buckets.put(changed, wanted(before or after), new)
        assert back == old
    if new != old:
        undone = notified_buckets.taken(undone, new.hold)
    assert children(undone) == children(started)

    done = notified_buckets.taken(changed, old.hold) if old and old != new else changed
    assert bool(notifications.ours(done)) is (after is EventSource.S3)
    assert notifications.eventbridge_is_on(done) is (on or after is EventSource.EVENTBRIDGE)
    assert children(notified_buckets.taken(done, new.hold)) == children(stranger)
