"""A bucket with others' notifications, and a stack with ours: each test has its own."""

from collections.abc import Iterator

import pytest

from tests.twins.bucket import TwinBuckets, document
from tests.twins.clock import TwinClock
from tests.unit.functions.bucket_notifications.notified_stack import BUCKET, OTHERS, Stack


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


@pytest.fixture
def stack(twin: TwinBuckets, clock: TwinClock) -> Stack:
    """Return CloudFormation."""
    return Stack(twin, clock)
