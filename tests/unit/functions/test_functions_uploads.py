"""What a message says of a bucket."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.uploads import Change, Kind, Reading, UnreadableEventError, read

AT = datetime(2026, 11, 25, 18, 0, 0, 123_000, tzinfo=UTC)
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.text(
    "a+% %2F/é", min_size=1
)


def record(name: str = "ObjectCreated:Put", **changes: Any) -> dict[str, Any]:
    """Return one of S3's records; `key` is as it stands there."""
    named = {"key": "a.png", "sequencer": "0055AED6DCD90281E5", **changes}
    return {
        "eventVersion": named.pop("eventVersion", "2.1"),
        "eventSource": "aws:s3",
        "eventTime": named.pop("eventTime", "2026-11-25T18:00:00.123Z"),
        "eventName": name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": named.pop("bucket", "example-static")},
            "object": {"size": 1024, **named},
        },
    }


def message(*records: Any) -> str:
    """Return a message of S3's."""
    return json.dumps({"Records": records})


def bridged(name: str = "Object Created", **detail: Any) -> str:
    """Return a message of EventBridge's."""
    return json.dumps(
        {
            "version": "0",
            "detail-type": name,
            "source": "aws.s3",
            "time": "2026-11-25T18:00:00Z",
            "detail": {
                "version": "0",
                "bucket": {"name": "example-static"},
                "object": {"key": "a.png", "sequencer": "55aed6dcd90281e5"},
                "reason": "PutObject",
                **detail,
            },
        }
    )


EXPIRED = "LifecycleExpiration:Delete"
EXPIRED_VERSION = {
    "object": {"key": "a.png", "version-id": "L4kq"},
    "reason": "Lifecycle Expiration",
    "deletion-type": "Permanently Deleted",
}
"""An old version: not the current one, so that no visitor sees it."""


@pytest.mark.parametrize(
    ("record_", "kind"),
    [
        (record("ObjectRemoved:Delete", versionId="L4kq"), Kind.REMOVED),
        (record("ObjectRemoved:DeleteMarkerCreated", versionId="L4kq"), Kind.REMOVED),
        (record("LifecycleExpiration:DeleteMarkerCreated", versionId="L4kq"), Kind.EXPIRED),
        (record("LifecycleExpiration:Delete", versionId=""), Kind.EXPIRED),
        (record("LifecycleExpiration:Delete", versionId="null"), Kind.EXPIRED),
    ],
)
def test_a_version_that_may_have_been_shown_is_a_change(
    record_: dict[str, Any], kind: Kind
) -> None:
    """Whoever deletes a version by hand may have meant the current one."""
    assert [change.kind for change in read(message(record_)).changes] == [kind]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ObjectCreated:Put", Kind.CREATED),
        ("ObjectCreated:Post", Kind.CREATED),
        ("ObjectCreated:Copy", Kind.CREATED),
        ("ObjectCreated:CompleteMultipartUpload", Kind.CREATED),
        ("ObjectCreated:SomethingNew", Kind.CREATED),
        ("s3:ObjectCreated:Put", Kind.CREATED),
        ("ObjectRemoved:Delete", Kind.REMOVED),
        ("ObjectRemoved:DeleteMarkerCreated", Kind.REMOVED),
        ("LifecycleExpiration:Delete", Kind.EXPIRED),
        ("LifecycleExpiration:DeleteMarkerCreated", Kind.EXPIRED),
    ],
)
def test_every_way_to_create_or_remove_an_object_is_a_change(name: str, kind: Kind) -> None:
    """Deletes and expirations leave a copy at the edge as uploads do."""
    expected = Change("example-static", "a.png", kind, "0055AED6DCD90281E5", AT)
    assert read(message(record(name))) == Reading((expected,))


@pytest.mark.parametrize(
    ("name", "detail", "kind"),
    [
        ("Object Created", {"reason": "CompleteMultipartUpload"}, Kind.CREATED),
        ("Object Deleted", {"deletion-type": "Permanently Deleted"}, Kind.REMOVED),
        ("Object Deleted", {"deletion-type": "Delete Marker Created"}, Kind.REMOVED),
        ("Object Deleted", {"reason": "Lifecycle Expiration"}, Kind.EXPIRED),
        ("Object Created", {"event-version": "1.7"}, Kind.CREATED),
    ],
)
def test_eventbridge_says_the_same(name: str, detail: dict[str, Any], kind: Kind) -> None:
    """A bucket whose notifications are taken by somebody else loses nothing."""
    at = AT.replace(microsecond=0)
    expected = Change("example-static", "a.png", kind, "55aed6dcd90281e5", at)
    assert read(bridged(name, **detail)) == Reading((expected,))


@given(keys)
def test_a_key_arrives_as_the_bucket_has_it(key: str) -> None:
    """S3 encodes it as a form does, EventBridge not at all: decoded once, or never."""
    (direct,) = read(message(record(key=quote_plus(key, safe="/")))).changes
    (by_bridge,) = read(bridged(object={"key": key})).changes
    assert direct.key == by_bridge.key == key


def test_a_plus_is_a_space_in_one_and_itself_in_the_other() -> None:
    """The bug that is found most in tools like this."""
    assert read(message(record(key="red+flower%2B1.jpg"))).changes[0].key == "red flower+1.jpg"
    assert read(bridged(object={"key": "a+b%2B.jpg"})).changes[0].key == "a+b%2B.jpg"


def test_every_record_of_a_message_is_read() -> None:
    """In its order, and whatever it stands next to."""
    reading = read(
        message(record(key="docs/"), record("ObjectTagging:Put"), record(key="b", bucket="other"))
    )
    assert [(change.bucket, change.key) for change in reading.changes] == [
        ("example-static", "docs/"),
        ("other", "b"),
    ]
    assert reading.ignored == ("ObjectTagging:Put",)


@pytest.mark.parametrize(
    ("body", "ignored"),
    [
        ('{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}', ("s3:TestEvent",)),
        (message(record("ObjectRestore:Completed")), ("ObjectRestore:Completed",)),
        (message(record("LifecycleTransition")), ("LifecycleTransition",)),
        (message(record(EXPIRED, versionId="L4kq")), (EXPIRED,)),
        (bridged("Object Deleted", **EXPIRED_VERSION), ("Object Deleted",)),
        (message({"eventVersion": "2.9", "eventName": "New:Thing"}), ("New:Thing",)),
        (message(), ()),
        (bridged("Object Tags Added"), ("Object Tags Added",)),
        (bridged("Object Restore Completed"), ("Object Restore Completed",)),
    ],
)
def test_what_changes_nothing_is_ignored_by_name(body: str, ignored: tuple[str, ...]) -> None:
    """It is no error, and still nobody has to guess what was passed over."""
    assert read(body) == Reading((), ignored)


@pytest.mark.parametrize("version", ["2.0", "2.3", "2.6", "2.99"])
def test_a_minor_version_is_read_like_the_known_ones(version: str) -> None:
    """S3 adds fields in these, and asks everybody to ignore them."""
    assert len(read(message(record(eventVersion=version))).changes) == 1


@pytest.mark.parametrize("sequencer", [None, "", "xyz"])
def test_a_sequencer_that_orders_nothing_is_none(sequencer: str | None) -> None:
    """The change counts without it."""
    assert read(message(record(sequencer=sequencer))).changes[0].sequencer is None


def test_a_sequencer_may_be_missing() -> None:
    """Lifecycle expirations need not have one."""
    bare = record()
    del bare["s3"]["object"]["sequencer"]
    assert read(message(bare)).changes[0].sequencer is None
    assert read(bridged(object={"key": "a"})).changes[0].sequencer is None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "garbage",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        '{"Records":{}}',
        '{"Event":"s3:OtherEvent"}',
        message("x"),
        message(None),
        message({}),
        message(record(eventVersion="3.0")),
        message(record(eventVersion="2")),
        message(record(eventVersion=2.1)),
        message(record(eventTime="yesterday")),
        message(record(eventTime="2026-11-25T18:00:00")),
        message(record(key="")),
        message(record(key=None)),
        message(record(key="100%")),
        message(record(key="%E8")),
        message(record(key="%ED%A0%80")),
        message(record(key="\ud800")),
        message(record(bucket="")),
        message(record(sequencer=7)),
        message({**record(), "s3": None}),
        message({**record(), "s3": []}),
        bridged(object={"key": "\udfff"}),
        bridged(object=None),
        bridged(bucket={}),
        bridged(**{"event-version": "2.0"}),
        bridged().replace("aws.s3", "aws.ec2"),
        bridged().replace('"detail"', '"detaill"'),
    ],
)
def test_garbage_is_one_named_error(body: str) -> None:
    """It goes to the dead-letter queue, where an alarm is, and never ends as a guess."""
    with pytest.raises(UnreadableEventError) as caught:
        read(body)
    assert len(caught.value.faults) == 1
    assert caught.value.readable == Reading()


def test_a_bad_record_does_not_take_the_good_ones_with_it() -> None:
    """The error names every bad one and carries what the others say."""
    body = message(record(key="%"), record(key="b"), record("New:Thing"), 7)
    with pytest.raises(
        UnreadableEventError, match=r"record 0: object\.key .*; record 3: "
    ) as error:
        read(body)
    assert [change.key for change in error.value.readable.changes] == ["b"]
    assert error.value.readable.ignored == ("New:Thing",)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_PLACES = ["", "eventVersion", "eventTime", "eventName", "s3", "bucket", "name", "object", "key"]


@given(
    place=st.sampled_from([*_PLACES, "detail", "detail-type", "source", "time"]),
    value=_JSON,
    s3=st.booleans(),
)
def test_whatever_comes_is_read_or_is_the_one_error(place: str, value: Any, *, s3: bool) -> None:
    """Nothing that a queue can hold ends in another way, whichever field it spoils."""

    def spoilt(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: value if name == place else spoilt(of) for name, of in node.items()}
        return [spoilt(of) for of in node] if isinstance(node, list) else node

    whole = json.loads(message(record()) if s3 else bridged())
    body = json.dumps(spoilt(whole) if place else value)
    try:
        reading = read(body)
    except UnreadableEventError as error:
        assert error.faults  # noqa: PT017 - either way is right
    else:
        assert all(change.at.tzinfo is UTC for change in reading.changes)
