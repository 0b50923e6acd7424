"""The real CDK adds our notifications to buckets that others use, and takes them out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from functions.domain.site import EventSource, Site
from lab.emulator import REGION
from lab.errors import DeployError
from tests.integration.notified_buckets import (
    NO_BUCKET,
    PLAIN,
    SHARED,
    STACK,
    Buckets,
    plain,
    shop,
    synthesized,
)

if TYPE_CHECKING:
    from lab.region import Region

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

FAR, FAR_REGION = "example-far", "eu-central-1"


def test_the_buckets_of_others_keep_their_notifications(region: Region) -> None:
    """Create and its roll-back, update and its roll-back, destroy: others' are never touched."""
    buckets = Buckets(region)
    versions = {str(events): [shop(events), plain(events)] for events in EventSource}
    cdk = synthesized(region, versions, *versions)

    with pytest.raises(DeployError, match=NO_BUCKET):
        cdk.deploy("s3-broken")
    assert buckets.untouched(), "a create that is rolled back"

    url = cdk.deploy("s3")[STACK]["QueueUrl"]
    assert buckets.others_untouched(), "create"
    assert buckets.ours(SHARED)
    assert buckets.ours(PLAIN)
    assert buckets.heard(url, "shop/a", "c")

    with pytest.raises(DeployError, match=NO_BUCKET):
        cdk.deploy("eventbridge-broken")
    assert buckets.others_untouched(), "an update rolled back"
    assert buckets.heard(url, "shop/a", "c")

    url = cdk.deploy("eventbridge")[STACK]["QueueUrl"]
    assert buckets.others_untouched(), "update"
    assert not buckets.ours(SHARED)
    assert not buckets.ours(PLAIN)
    assert buckets.heard(url, "shop/a", "logs/b", "c")

    cdk.destroy("eventbridge")
    assert buckets.of(SHARED) == buckets.others[SHARED], "destroy"
    assert buckets.of(PLAIN) == {"EventBridgeConfiguration": {}}, "which stays on"


def test_a_bucket_that_is_taken_out_leaves_the_other_alone(region: Region) -> None:
    """The one is as others made it, the other goes on telling; at the end it is let go too."""
    buckets = Buckets(region)
    cdk = synthesized(region, {"both": [shop(), plain()], "one": [plain()], "other": [shop()]})
    url = cdk.deploy("both")[STACK]["QueueUrl"]
    assert buckets.heard(url, "shop/a", "c")

    assert cdk.deploy("one")[STACK]["QueueUrl"] == url
    assert buckets.of(SHARED) == buckets.others[SHARED]
    assert buckets.ours(PLAIN)
    assert buckets.heard(url, "c")

    cdk.deploy("other")
    assert buckets.of(PLAIN) == buckets.others[PLAIN]
    assert buckets.ours(SHARED)
    assert buckets.others_untouched()
    assert buckets.heard(url, "shop/a")

    cdk.destroy("other")
    assert buckets.untouched()


@pytest.mark.parametrize("events", EventSource)
def test_a_bucket_of_another_region_fails_the_deployment(
    region: Region, events: EventSource
) -> None:
    """Both Regions are in CloudFormation's own event; nothing is written, and nothing is left."""
    buckets = Buckets(region)
    there = region.client("s3", region_name=FAR_REGION, s3={"addressing_style": "path"})
    there.create_bucket(Bucket=FAR, CreateBucketConfiguration={"LocationConstraint": FAR_REGION})
    cdk = synthesized(region, {"far": [plain(), Site("far", FAR, ("E3EXAMPLE",), events=events)]})
    with pytest.raises(DeployError, match=f"{FAR}: it is in {FAR_REGION}.* in {REGION}"):
        cdk.deploy("far")
    assert buckets.untouched()
    answer = there.get_bucket_notification_configuration(Bucket=FAR)
    assert not answer.keys() - {"ResponseMetadata"}
