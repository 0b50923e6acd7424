"""The live objects of buckets, by listing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from functions.adapters.unanswered import UNANSWERED
from functions.domain.errors import BucketError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class S3Objects:
    """Needs s3:ListBucket. A page is 1,000 keys; whoever has enough stops asking."""

    client: "S3Client"

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with a prefix, as S3 orders them; raise BucketError."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        try:
            for page in pages:
                for found in page.get("Contents", ()):
                    yield found["Key"]
        except (*UNANSWERED, ClientError) as error:
            raise BucketError(f"{bucket}: {error}") from error
