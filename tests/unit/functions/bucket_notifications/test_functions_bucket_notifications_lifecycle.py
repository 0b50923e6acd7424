"""Ours come and go as CloudFormation asks, and others' notifications live on."""

from functions.domain import notifications
from tests.twins.bucket import TwinBuckets, document
from tests.unit.functions.bucket_notifications.notified_stack import (
    BUCKET,
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
    assert not notifications.eventbridge_is_on(twin.documents[BUCKET])


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


def test_what_is_held_of_one_bucket_says_nothing_of_another(
    stack: Stack, twin: TwinBuckets
) -> None:
    """EventBridge was off in the one and on in the other: each goes back to what it was."""
    twin.documents["other"] = document("<EventBridgeConfiguration/>")
    old = stack.done("Create", Events="eventbridge")
    new = stack.done("Update", old, Events="eventbridge", Bucket="other")
    stack.done("Delete", old)
    stack.done("Delete", new)
    assert untouched(twin)
    assert notifications.eventbridge_is_on(twin.documents["other"])


def test_eventbridge_that_was_on_before_stays_on(stack: Stack, twin: TwinBuckets) -> None:
    """Whoever else listens there goes on listening after we left."""
    twin.documents[BUCKET] = document(OTHERS, "<EventBridgeConfiguration/>")
    held = stack.done("Create", Events="eventbridge")
    stack.done("Delete", held, Events="eventbridge")
    assert notifications.eventbridge_is_on(twin.documents[BUCKET])
    assert not twin.writes


def test_eventbridge_that_we_put_on_goes_off(stack: Stack, twin: TwinBuckets) -> None:
    """What was made for us is gone with us, and nothing else."""
    held = stack.done("Create", Events="eventbridge")
    assert notifications.eventbridge_is_on(twin.documents[BUCKET])
    assert not notifications.lost(document(OTHERS), twin.documents[BUCKET])
    stack.done("Delete", held, Events="eventbridge")
    assert untouched(twin)


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
    """CloudFormation then makes an id up; EventBridge, which may be anybody's, stays."""
    stack.done("Create")
    twin.documents[BUCKET] = twin.documents[BUCKET].replace(
        "</NotificationConfiguration>", "<EventBridgeConfiguration/></NotificationConfiguration>"
    )
    stack.done("Delete", "holdstill-uploads-Notifications1-ABC")
    assert not twin.ours(BUCKET)
    assert notifications.eventbridge_is_on(twin.documents[BUCKET])
