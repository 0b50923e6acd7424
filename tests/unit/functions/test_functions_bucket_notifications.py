"""The custom resource: CloudFormation always hears the truth, and others' notifications live on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config
from botocore.session import Session

from functions import bucket_notifications
from functions.adapters import clients
from functions.adapters.bucket_notifications import BucketNotifications
from functions.custom_resource import AnswerError, Request
from functions.domain import notifications
from functions.domain.notified_buckets import Held, Hold
from tests.twins.bucket import ACCOUNT, TwinBuckets, document
from tests.twins.clock import TwinClock

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "example-static"
QUEUE = f"arn:aws:sqs:ap-northeast-1:{ACCOUNT}:holdstill-uploads"
PATIENT_MS = 60_000
_SESSION = Session()

OTHERS = (
    '<TopicConfiguration tier="2"><Id>audit</Id><Topic>arn:aws:sns:x:1:audit</Topic>'
    "<Event>s3:ObjectTagging:*</Event><Sampling><Rate>0.5 </Rate></Sampling></TopicConfiguration>"
    "<CloudFunctionConfiguration><Id>thumbnails</Id><CloudFunction>arn:aws:lambda:x:1:function:t"
    "</CloudFunction><Event>s3:ObjectCreated:Put</Event><Filter><S3Key><FilterRule><Name>Prefix"
    "</Name><Value>raw/</Value></FilterRule></S3Key></Filter></CloudFunctionConfiguration>"
    "<WebhookConfiguration><Url>https://example.com/&#13;</Url></WebhookConfiguration>"
)
"""Two that botocore knows, with a part that it does not, and one that it knows nothing of."""


class Log:
    """Forgets."""

    def event(self, name: str, /, **fields: object) -> None:
        """Forget."""

    def fault(self, name: str, /, **fields: object) -> None:
        """Forget."""


@pytest.fixture
def twin() -> Iterator[TwinBuckets]:
    """Start S3 and CloudFormation with one bucket that has others' notifications."""
    with TwinBuckets() as buckets:
        buckets.documents[BUCKET] = document(OTHERS)
        yield buckets


@pytest.fixture
def clock() -> TwinClock:
    """Return a clock that waiting moves."""
    return TwinClock()


class Stack:
    """CloudFormation, with one resource of ours."""

    def __init__(self, twin: TwinBuckets, clock: TwinClock) -> None:
        self.twin = twin
        client: Any = _SESSION.create_client(
            aws_access_key_id="x",  # none of anybody's
            aws_secret_access_key="x",  # noqa: S106  likewise
            service_name="s3",
            region_name="ap-northeast-1",
            endpoint_url=twin.url,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )
        client.meta.events.register("after-call.*", clients.refuse_strangers)
        self.buckets = BucketNotifications(client, clock, ACCOUNT)

    def ask(
        self,
        kind: str,
        physical_id: str = "",
        *,
        left_ms: int = PATIENT_MS,
        properties: dict[str, Any] | None = None,
        **changes: Any,
    ) -> dict[str, Any]:
        """Send a request; return the one answer to it."""
        wanted = {"Bucket": BUCKET, "Events": "s3", "QueueArn": QUEUE, "Prefixes": ["site/"]}
        event = {
            "RequestType": kind,
            "RequestId": "request-1",
            "StackId": f"arn:aws:cloudformation:ap-northeast-1:{ACCOUNT}:stack/x/y",
            "LogicalResourceId": "Notifications1",
            "ResponseURL": self.twin.answer_url,
            "ResourceProperties": {**wanted, **changes} if properties is None else properties,
        }
        if physical_id:
            event["PhysicalResourceId"] = physical_id
        before = len(self.twin.answers)
        bucket_notifications.answer(Request.of(event), self.buckets, Log(), left_ms)
        (answer,) = self.twin.answers[before:]
        assert answer["RequestId"] == "request-1"
        assert answer["StackId"] == event["StackId"]
        assert answer["LogicalResourceId"] == "Notifications1"
        return answer

    def done(self, kind: str, physical_id: str = "", **changes: Any) -> str:
        """Send a request that succeeds; return the resource's id."""
        answer = self.ask(kind, physical_id, **changes)
        assert answer["Status"] == "SUCCESS", answer["Reason"]
        held: str = answer["PhysicalResourceId"]
        return held

    def refused(self, kind: str, physical_id: str = "", **changes: Any) -> tuple[str, str]:
        """Send a request that fails; return the resource's id and the reason."""
        answer = self.ask(kind, physical_id, **changes)
        assert answer["Status"] == "FAILED"
        return answer["PhysicalResourceId"], answer["Reason"]


@pytest.fixture
def stack(twin: TwinBuckets, clock: TwinClock) -> Stack:
    """Return CloudFormation."""
    return Stack(twin, clock)


def untouched(twin: TwinBuckets) -> bool:
    """Return whether the others' notifications are what they were, and alone."""
    return notifications.same(twin.documents[BUCKET], document(OTHERS))


def test_created_and_deleted_leaves_the_bucket_as_it_was(stack: Stack, twin: TwinBuckets) -> None:
    """Also what botocore has no name for is there during and after."""
    held = stack.done("Create")
    (ours,) = twin.ours(BUCKET)
    assert (ours.destination, ours.prefix) == (QUEUE, "site/")
    assert not notifications.lost(document(OTHERS), twin.documents[BUCKET])
    assert "https://example.com/&#13;" in twin.documents[BUCKET]
    assert stack.done("Delete", held) == held
    assert untouched(twin)


def test_an_answer_without_a_type_is_s3s_all_the_same(stack: Stack, twin: TwinBuckets) -> None:
    """It names the request, as no proxy's page does."""
    twin.untyped = True
    stack.done("Create")
    assert twin.ours(BUCKET)


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
