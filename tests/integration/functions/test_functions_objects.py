"""The live objects of a bucket, on the emulator's S3."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from functions.adapters import clients
from functions.adapters.objects import S3Objects
from functions.domain.errors import BucketError

if TYPE_CHECKING:
    from lab.region import Region

pytestmark = pytest.mark.emulator

BUCKET = "example-static"
NAMES = [
    "docs/a b+c.png",
    "docs/100%.png",
    "docs/img (1)~.png",
    "docs/資料.psd",
    "docs/a&<b>.png",
    "docs//double",
    "docsother/a",
]


@pytest.fixture
def objects(region: Region) -> S3Objects:
    """Return the port, and a bucket with hard names."""
    client = region.client("s3")
    client.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": client.meta.region_name}
    )
    for name in NAMES:
        client.put_object(Bucket=BUCKET, Key=name, Body=b"x")
    return S3Objects(client)


def test_keys_come_as_the_bucket_has_them(objects: S3Objects) -> None:
    """Neither encoded nor tidied, in the order of their bytes, and only those of the prefix."""
    expected = sorted(name for name in NAMES if name.startswith("docs/"))
    assert list(objects.keys(BUCKET, "docs/")) == expected
    assert list(objects.keys(BUCKET, "")) == sorted(NAMES)
    assert list(objects.keys(BUCKET, "none/")) == []


def test_keys_come_in_pages_as_they_are_asked_for(objects: S3Objects) -> None:
    """A folder beyond the cap is many, and is not listed to its end."""
    for number in range(1_050):
        objects.client.put_object(Bucket=BUCKET, Key=f"many/{number:04}", Body=b"x")
    pages: list[object] = []
    objects.client.meta.events.register(
        "before-call.s3.ListObjectsV2", lambda **_: pages.append(None)
    )
    assert len(list(islice(objects.keys(BUCKET, "many/"), 1_000))) == 1_000
    assert len(pages) == 1
    assert len(list(objects.keys(BUCKET, "many/"))) == 1_050
    assert len(pages) == 3


def test_a_bucket_that_cannot_be_listed_is_an_error(objects: S3Objects) -> None:
    """It is not empty."""
    with pytest.raises(BucketError, match="none-of-ours"):
        list(objects.keys("none-of-ours", ""))


def test_an_answer_without_a_word_is_one(objects: S3Objects) -> None:
    """S3 says nothing, not even of what type, when a bucket's notifications are put."""
    objects.client.meta.events.register("after-call.*", clients.refuse_strangers)
    objects.client.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={}
    )
    assert list(objects.keys(BUCKET, "docsother/")) == ["docsother/a"]
