"""A Region with a bucket for the probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.live_probe.probing import BUCKET

if TYPE_CHECKING:
    from lab.region import Region


@pytest.fixture
def aimed(region: Region, monkeypatch: pytest.MonkeyPatch) -> Region:
    """Return the Region, seen by every client of this process, with a bucket and its front page."""
    for name, value in region.environment.items():
        monkeypatch.setenv(name, value)
    s3 = region.client("s3")
    s3.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"}
    )
    s3.put_object(Bucket=BUCKET, Key="site/index.html", Body=b"the front page")
    s3.put_object(Bucket=BUCKET, Key="site/other.txt", Body=b"not the probe's")
    region.edge.control(completion_s=0.5, effect_s=0.2, calls_per_s=5)
    return region
