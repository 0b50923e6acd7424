"""CloudFormation with one resource of ours, of a bucket that has others' notifications."""

from typing import Any

from botocore.config import Config
from botocore.session import Session

from functions import bucket_notifications
from functions.adapters import clients
from functions.adapters.bucket_notifications import BucketNotifications
from functions.custom_resource import Request
from functions.domain import notifications
from tests.twins.bucket import ACCOUNT, TwinBuckets, document
from tests.twins.clock import TwinClock

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
EVENTBRIDGE = "<EventBridgeConfiguration/>"


class Log:
    """Forgets."""

    def event(self, name: str, /, **fields: object) -> None:
        """Forget."""

    def fault(self, name: str, /, **fields: object) -> None:
        """Forget."""


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


def untouched(twin: TwinBuckets) -> bool:
    """Return whether the others' notifications are what they were, and alone."""
    return notifications.same(twin.documents[BUCKET], document(OTHERS))
