"""CloudFormation always hears the truth, once: whatever is wrong with a request, or with us."""

import threading
from typing import Any

import pytest

from functions.custom_resource import AnswerError
from functions.domain import notifications
from functions.domain.notified_buckets import Held, Hold
from tests.twins.bucket import TwinBuckets, document
from tests.unit.functions.bucket_notifications.notified_stack import (
    BUCKET,
    OTHERS,
    Stack,
    untouched,
)


@pytest.mark.parametrize("properties", [{}, {"Bucket": BUCKET}, {"Bucket": 1, "Events": "sns"}])
def test_nonsense_is_answered_too(
    stack: Stack, twin: TwinBuckets, properties: dict[str, Any]
) -> None:
    """A faulty template fails at once, and its roll-back does not hang."""
    held, reason = stack.refused("Create", properties=properties)
    assert "Bucket, Events, QueueArn, Prefixes" in reason
    stack.done("Delete", held, properties=properties)
    assert untouched(twin)


def test_an_unforeseen_error_is_answered(
    stack: Stack, twin: TwinBuckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug fails the deployment in a second, not after CloudFormation's hour."""

    def broken(*_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(notifications, "queue_put", broken)
    held, reason = stack.refused("Create")
    assert "ZeroDivisionError" in reason
    assert Held.parse(held) == Held(BUCKET, Hold.NOTHING)
    assert untouched(twin)


def test_a_function_out_of_time_has_answered_and_writes_nothing_more(
    stack: Stack, twin: TwinBuckets
) -> None:
    """S3 hangs until CloudFormation is told; what was only read is not written after that."""
    twin.hold.clear()

    def release_after_the_answer() -> None:
        while not twin.answers:
            stop.wait(0.01)
        twin.hold.set()

    stop = threading.Event()
    waiting = threading.Thread(target=release_after_the_answer, daemon=True)
    waiting.start()
    held, reason = stack.refused("Create", left_ms=20_100)
    waiting.join(5)
    assert "time was nearly over" in reason
    assert Held.parse(held) == Held(BUCKET, Hold.NOTHING)
    assert untouched(twin)
    assert not twin.writes


def test_the_answer_is_repeated_and_has_no_content_type(
    stack: Stack, twin: TwinBuckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is signed for no content type; one 503 is no lost deployment."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    twin.deaf = 2
    stack.done("Create")
    assert twin.answer_types == [""]


def test_a_cloudformation_that_hears_nothing_is_an_error(
    stack: Stack, twin: TwinBuckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the function itself fails, and its alarm sounds."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    twin.deaf = 100
    with pytest.raises(AnswerError):
        stack.ask("Create")


def test_a_reason_fits_into_the_answer(stack: Stack, twin: TwinBuckets) -> None:
    """CloudFormation takes 4,096 bytes in all; a longer answer is none."""
    twin.documents[BUCKET] = document(OTHERS.replace("thumbnails", "写" * 3000).replace("raw", "s"))
    _, reason = stack.refused("Create", Prefixes=["s/"])
    assert len(reason.encode()) < 3500
