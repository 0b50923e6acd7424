"""Ours come and go as CloudFormation asks, and others' notifications live on."""

import itertools

import pytest

from functions.domain import notifications
from functions.domain.site import EventSource
from tests.twins.bucket import TwinBuckets, document
from tests.unit.functions.bucket_notifications.notified_stack import (
    BUCKET,
    EVENTBRIDGE,
    OTHERS,
    QUEUE,
    Stack,
    untouched,
)


def test_created_and_deleted_leaves_the_bucket_as_it_was(stack: Stack, twin: TwinBuckets) -> None:
    """Also what botocore has no name for is there during and after."""
    held = stack.done("Create")
    (ours,) = twin.ours(BUCKET)
    assert (ours.destination, ours.prefix) == (QUEUE, "site/")
    assert not notifications.lost(document(OTHERS), twin.documents[BUCKET])
    assert "https://example.com/&#13;" in twin.documents[BUCKET]
    assert stack.done("Delete", held) == held
    assert untouched(twin)


def test_the_same_request_again_writes_nothing(stack: Stack, twin: TwinBuckets) -> None:
    """Lambda invokes at least once: a repeated event is answered alike, without a write."""
    held = stack.done("Create")
    assert stack.done("Create") == held
    stack.done("Delete", held)
    stack.done("Delete", held)
    assert len(twin.writes) == 2


def test_other_prefixes_are_the_same_resource(stack: Stack, twin: TwinBuckets) -> None:
    """An update in place replaces ours and nothing else."""
    held = stack.done("Create")
    assert stack.done("Update", held, Prefixes=["a/", "b/"]) == held
    assert {ours.prefix for ours in twin.ours(BUCKET)} == {"a/", "b/"}
    stack.done("Delete", held)
    assert untouched(twin)


def test_another_mode_is_another_resource(stack: Stack, twin: TwinBuckets) -> None:
    """CloudFormation then deletes the old one; rolled back, the old one is there as before."""
    queue = stack.done("Create")
    eventbridge = stack.done("Update", queue, Events="eventbridge")
    assert eventbridge != queue
    assert twin.ours(BUCKET), "nothing is missed in between"
    assert stack.done("Update", eventbridge) == queue  # rolled back
    stack.done("Delete", eventbridge, Events="eventbridge")
    assert len(twin.ours(BUCKET)) == 1


CHANGES = list(itertools.product([None, *EventSource], EventSource, [False, True], [False, True]))


@pytest.mark.parametrize(("before", "after", "on", "rolled_back_by_update"), CHANGES)
def test_a_change_and_its_roll_back_end_where_they_should(
    stack: Stack,
    twin: TwinBuckets,
    *,
    before: EventSource | None,
    after: EventSource,
    on: bool,
    rolled_back_by_update: bool,
) -> None:
    """From each mode to each: undone in either way of CloudFormation's, done, and destroyed."""
    twin.documents[BUCKET] = stranger = document(OTHERS, EVENTBRIDGE if on else "")
    old = stack.done("Create", Events=before) if before else ""
    started = twin.documents[BUCKET]
    change = "Update" if before else "Create"

    new = stack.done(change, old, Events=after)
    if before and rolled_back_by_update:
        assert stack.done("Update", new, Events=before) == old
    if new != old:
        stack.done("Delete", new, Events=after)
    assert twin.ours(BUCKET) == notifications.ours(started)
    assert not notifications.lost(started, twin.documents[BUCKET])

    assert stack.done(change, old, Events=after) == new
    if old and old != new:
        stack.done("Delete", old, Events=before)
    assert bool(twin.ours(BUCKET)) is (after is EventSource.S3)

    stack.done("Delete", new, Events=after)
    ends_on = on or EventSource.EVENTBRIDGE in {before, after}
    end = notifications.eventbridge_put(stranger) if ends_on else stranger
    assert notifications.same(twin.documents[BUCKET], end)


@pytest.mark.parametrize(
    ("hold", "events"),
    [
        ("s3", "s3"),
        ("s3-after-eventbridge", "s3"),
        ("eventbridge", "eventbridge"),
        ("eventbridge-found", "eventbridge"),
    ],
)
def test_what_an_earlier_version_made_is_neither_replaced_nor_forgotten(
    stack: Stack, twin: TwinBuckets, hold: str, events: str
) -> None:
    """An update that answers with another id has CloudFormation delete what it has just put."""
    held = f"holdstill/{BUCKET}/{hold}"
    assert stack.done("Update", held, Events=events, Prefixes=["a/"]) == held
    assert bool(twin.ours(BUCKET)) is (events == "s3")
    stack.done("Delete", held, Events=events)
    assert not twin.ours(BUCKET)
    assert notifications.eventbridge_is_on(twin.documents[BUCKET]) is (events == "eventbridge")


def test_another_bucket_is_another_resource(stack: Stack, twin: TwinBuckets) -> None:
    """The new bucket has ours, the old one too until CloudFormation deletes it."""
    twin.documents["other"] = document()
    old = stack.done("Create")
    new = stack.done("Update", old, Bucket="other")
    assert new != old
    assert twin.ours("other")
    assert twin.ours(BUCKET)
    stack.done("Delete", old)
    assert untouched(twin)
    assert twin.ours("other")


def test_eventbridge_stays_on_when_we_leave(stack: Stack, twin: TwinBuckets) -> None:
    """Whoever has come to listen there goes on listening, and nothing is written."""
    held = stack.done("Create", Events="eventbridge")
    assert not notifications.lost(document(OTHERS), twin.documents[BUCKET])
    there = twin.documents[BUCKET]
    stack.done("Delete", held, Events="eventbridge")
    assert twin.documents[BUCKET] == there
    assert notifications.same(there, document(OTHERS, EVENTBRIDGE))
    assert len(twin.writes) == 1


def test_eventbridge_that_is_on_is_not_written(stack: Stack, twin: TwinBuckets) -> None:
    """A write would send a test event to each of the others."""
    twin.documents[BUCKET] = document(OTHERS, EVENTBRIDGE)
    stack.done("Create", Events="eventbridge")
    assert not twin.writes


def test_a_failed_create_leaves_nothing_to_delete(stack: Stack, twin: TwinBuckets) -> None:
    """An overlap is told with the other's name; the Delete that follows changes nothing.

    Not even what an earlier deployment of ours left there: this Create did not make it.
    """
    overlapping = OTHERS.replace("raw/", "site/")
    leftover = (
        "<QueueConfiguration><Id>holdstill-uploads-1</Id><Queue>q</Queue>"
        "<Event>s3:ObjectRestore:*</Event></QueueConfiguration>"
    )
    twin.documents[BUCKET] = before = document(overlapping, leftover)
    held, reason = stack.refused("Create")
    assert '"thumbnails"' in reason
    assert 'events = "eventbridge"' in reason
    stack.done("Delete", held)
    assert twin.documents[BUCKET] == before
    assert not twin.writes


def test_a_failed_update_keeps_its_resource(stack: Stack, twin: TwinBuckets) -> None:
    """The id does not change, and the roll-back's Update finds what was there."""
    held = stack.done("Create")
    assert stack.refused("Update", held, Prefixes=["raw/"])[0] == held
    assert stack.done("Update", held) == held
    assert len(twin.writes) == 1
    twin.spoil = lambda body: body.replace("<Rate>0.5 </Rate>", "")
    assert stack.refused("Update", held, Events="eventbridge")[0] == held


def test_a_create_that_never_answered_is_deleted_by_our_ids(
    stack: Stack, twin: TwinBuckets
) -> None:
    """CloudFormation then makes an id up; EventBridge, which is nobody's, stays."""
    stack.done("Create")
    twin.documents[BUCKET] = twin.documents[BUCKET].replace(
        "</NotificationConfiguration>", "<EventBridgeConfiguration/></NotificationConfiguration>"
    )
    stack.done("Delete", "holdstill-uploads-Notifications1-ABC")
    assert not twin.ours(BUCKET)
    assert notifications.eventbridge_is_on(twin.documents[BUCKET])
