"""What S3 may yet do is waited for, and what it refuses, spoils or has lost is told."""

import pytest

from tests.twins.bucket import TwinBuckets, document
from tests.twins.clock import TwinClock
from tests.unit.functions.bucket_notifications.notified_stack import (
    BUCKET,
    OTHERS,
    Stack,
    untouched,
)


def test_an_answer_without_a_type_is_s3s_all_the_same(stack: Stack, twin: TwinBuckets) -> None:
    """It names the request, as no proxy's page does."""
    twin.untyped = True
    stack.done("Create")
    assert twin.ours(BUCKET)


def test_a_create_that_spoilt_something_says_so_and_can_be_deleted(
    stack: Stack, twin: TwinBuckets
) -> None:
    """Whose notification is not as it was is in the reason; ours does not stay behind."""
    twin.spoil = lambda body: body.replace("<Rate>0.5 </Rate>", "")
    held, reason = stack.refused("Create")
    assert "audit" in reason
    twin.spoil = str
    stack.done("Delete", held)
    assert not twin.ours(BUCKET)


def test_a_write_that_does_not_show_at_last_is_a_failure(stack: Stack, twin: TwinBuckets) -> None:
    """What somebody else's write at the same time took away is not reported as there."""
    twin.spoil = lambda _: document(OTHERS)
    assert "not what was written" in stack.refused("Create")[1]


def test_s3_may_show_a_change_late(stack: Stack, twin: TwinBuckets) -> None:
    """A bucket's settings are eventually consistent: it is looked at again."""
    twin.stale = 3
    stack.done("Create")
    assert len(twin.writes) == 1


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidArgument", "OperationAborted"])
def test_policies_may_be_known_late(stack: Stack, twin: TwinBuckets, code: str) -> None:
    """A role and a queue of the same deployment are new: the first minute's refusals pass."""
    twin.refusals = [code] * 6
    stack.done("Create")
    assert twin.ours(BUCKET)


def test_a_refusal_that_stays_is_told(stack: Stack, twin: TwinBuckets, clock: TwinClock) -> None:
    """With S3's own words, after about a minute, and well before the function's end."""
    twin.refusals = ["AccessDenied"] * 100
    begun_ns = clock.now_ns()
    assert "AccessDenied: Unable to validate" in " ".join(
        stack.refused("Create")[1].replace("Code: ", "").replace("; Message", "").split("; ")
    )
    assert 30e9 < clock.now_ns() - begun_ns < 100e9
    assert untouched(twin)


@pytest.mark.parametrize("of", ["owner_of_reads", "owner_of_writes"])
def test_a_bucket_of_another_account_is_refused(stack: Stack, twin: TwinBuckets, of: str) -> None:
    """A name that passed to somebody else is not written to, even where its policy would let us."""
    setattr(twin, of, "999999999999")
    assert "AccessDenied" in stack.refused("Create")[1]
    assert not twin.writes


@pytest.mark.parametrize("events", ["s3", "eventbridge"])
@pytest.mark.parametrize(
    ("location", "region"),
    [("eu-central-1", "eu-central-1"), ("", "us-east-1"), ("EU", "eu-west-1")],
)
def test_a_bucket_of_another_region_is_refused(
    stack: Stack, twin: TwinBuckets, events: str, location: str, region: str
) -> None:
    """By S3 the write would fail a minute later; by EventBridge it would work and tell nothing."""
    twin.location = location
    held, reason = stack.refused("Create", Events=events)
    assert f"it is in {region}" in reason
    assert "this stack in ap-northeast-1" in reason
    assert untouched(twin)
    stack.done("Delete", held, Events=events)


def test_a_bucket_that_came_back_in_another_region_is_let_go(
    stack: Stack, twin: TwinBuckets
) -> None:
    """A change is refused; a stack that is deleted asks for no Region."""
    held = stack.done("Create")
    twin.location = "eu-central-1"
    assert stack.refused("Update", held, Prefixes=["a/"])[0] == held
    stack.done("Delete", held)
    assert untouched(twin)


def test_a_refusal_for_good_is_not_waited_for(
    stack: Stack, twin: TwinBuckets, clock: TwinClock
) -> None:
    """What no policy explains is told at once."""
    twin.refusals = ["MalformedXML"] * 100
    begun_ns = clock.now_ns()
    assert "MalformedXML" in stack.refused("Create")[1]
    assert clock.now_ns() == begun_ns


def test_a_bucket_that_is_gone_is_deleted_already(stack: Stack, twin: TwinBuckets) -> None:
    """A stack whose bucket was deleted first can be destroyed; one cannot be made for it."""
    held = stack.done("Create")
    del twin.documents[BUCKET]
    stack.done("Delete", held)
    assert "no such bucket" in stack.refused("Create")[1]


def test_anothers_destination_that_is_gone_does_not_hold_ours(
    stack: Stack, twin: TwinBuckets
) -> None:
    """S3 tries all destinations at a write, unless told not to: told so when ours go."""
    stack.done("Delete", stack.done("Create"))
    assert twin.validated == [True, False]
