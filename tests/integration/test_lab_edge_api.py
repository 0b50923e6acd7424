"""The lab's CloudFront API, as boto3 sends and reads it."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError

from lab.edge import process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.edge.process import Edge

ID = "E1EXAMPLE"
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def running_edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """Start the program once."""
    edge = process.start(tmp_path_factory.mktemp("edge"))
    try:
        edge.wait()
        yield edge
    finally:
        edge.child.stop()


@pytest.fixture
def edge(running_edge: Edge) -> Edge:
    """Return it with nothing in progress, and no budget but in the test of the budget."""
    running_edge.reset()
    running_edge.deploy(id=ID, origin_url=NOWHERE, bucket="example", origin_path="/site")
    running_edge.control(throttling=False, completion_s=60)
    return running_edge


@pytest.fixture
def cloudfront(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a client that tries once, and finds the edge as the product's does."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFRONT", edge.url)
    return client()


def client(attempts: int = 1, **config: Any) -> Any:
    """Return a CloudFront client of the environment's endpoint."""
    session: Any = boto3.Session("test", "test", region_name="us-east-1")
    settings = Config(retries={"total_max_attempts": attempts}, **config)
    return session.client("cloudfront", config=settings)


def create(
    cloudfront: Any,
    *paths: str,
    reference: str = "",
    quantity: int | None = None,
    distribution: str = ID,
) -> dict[str, Any]:
    """Create an invalidation, under a new reference unless one is given."""
    answer: dict[str, Any] = cloudfront.create_invalidation(
        DistributionId=distribution,
        InvalidationBatch={
            "CallerReference": reference or str(uuid.uuid4()),
            "Paths": {"Quantity": len(paths) if quantity is None else quantity, "Items": paths},
        },
    )
    return answer


def refusal(cloudfront: Any, *paths: str, **more: Any) -> tuple[str, int]:
    """Return the code and the status with which a batch is refused."""
    with pytest.raises(ClientError) as refused:
        create(cloudfront, *paths, **more)
    answer: Any = refused.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def made(edge: Edge) -> int:
    """Return how many invalidations there are."""
    count: int = edge.state()["distributions"][ID]["invalidations"]
    return count


def test_an_invalidation_is_in_progress_and_then_completed(edge: Edge, cloudfront: Any) -> None:
    """All of it comes back, at once and later, and it cannot be told from AWS's by boto3."""
    edge.control(completion_s=0.3)
    answer = create(cloudfront, "/a%20b.png", "/docs/*", reference="r")
    one = answer["Invalidation"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert answer["Location"].endswith(f"/2020-05-31/distribution/{ID}/invalidation/{one['Id']}")
    assert one["Status"] == "InProgress"
    assert abs(datetime.now(UTC) - one["CreateTime"]) < timedelta(seconds=5)
    assert one["InvalidationBatch"] == {
        "Paths": {"Quantity": 2, "Items": ["/a%20b.png", "/docs/*"]},
        "CallerReference": "r",
    }
    got = cloudfront.get_invalidation(DistributionId=ID, Id=one["Id"])["Invalidation"]
    assert got == one
    waiter = cloudfront.get_waiter("invalidation_completed")
    waiter.wait(DistributionId=ID, Id=one["Id"], WaiterConfig={"Delay": 1, "MaxAttempts": 5})
    got = cloudfront.get_invalidation(DistributionId=ID, Id=one["Id"])["Invalidation"]
    assert got == {**one, "Status": "Completed"}


def test_the_list_is_newest_first_and_paged(cloudfront: Any) -> None:
    """It has no paths: whoever wants a history keeps it."""
    ids = [create(cloudfront, "/a")["Invalidation"]["Id"] for _ in range(5)]
    pages = cloudfront.get_paginator("list_invalidations").paginate(
        DistributionId=ID, PaginationConfig={"PageSize": 2}
    )
    listed = [one for page in pages for one in page["InvalidationList"]["Items"]]
    assert [one["Id"] for one in listed] == ids[::-1]
    assert set(listed[0]) == {"Id", "Status", "CreateTime"}


def test_a_repeated_call_makes_nothing(edge: Edge, cloudfront: Any) -> None:
    """The first one comes back, with its CreateTime; no path is counted twice."""
    first = create(cloudfront, "/a", "/b*", reference="r")["Invalidation"]
    time.sleep(0.01)
    assert create(cloudfront, "/a", "/b*", reference="r")["Invalidation"] == first
    assert edge.state()["distributions"][ID]["paths"] == {"exact": 1, "wildcards": 1}
    assert refusal(cloudfront, "/c", reference="r") == ("InvalidationBatchAlreadyExists", 400)
    edge.control(reused_reference="InvalidArgument")
    assert refusal(cloudfront, "/c", reference="r") == ("InvalidArgument", 400)
    assert made(edge) == 1


@pytest.mark.parametrize("path", ["a.png", "/a b", "/~", "/資料", "/a*b", "/" + "a" * 4000])
def test_a_bad_path_refuses_the_whole_batch(edge: Edge, cloudfront: Any, path: str) -> None:
    """And the answer does not say which one it was."""
    with pytest.raises(cloudfront.exceptions.InvalidArgument) as refused:
        create(cloudfront, "/good", path)
    assert path not in str(refused.value.response["Error"]["Message"])
    assert made(edge) == 0


def test_a_request_that_contradicts_itself_is_refused(cloudfront: Any) -> None:
    """Quantities, sizes, names."""
    assert refusal(cloudfront, "/a", quantity=2) == ("InconsistentQuantities", 400)
    assert refusal(cloudfront, "/a\x01") == ("MalformedXML", 400)
    assert refusal(cloudfront, *["/a"] * 3001) == ("BatchTooLarge", 413)
    with pytest.raises(cloudfront.exceptions.NoSuchDistribution):
        cloudfront.list_invalidations(DistributionId="E0EXAMPLE")
    with pytest.raises(cloudfront.exceptions.NoSuchInvalidation):
        cloudfront.get_invalidation(DistributionId=ID, Id="I2EXAMPLE")


def test_a_full_distribution_accepts_no_more(edge: Edge, cloudfront: Any) -> None:
    """3,000 paths and 15 wildcards; another distribution has room."""
    create(cloudfront, *(f"/{n}" for n in range(3000)))
    create(cloudfront, *(f"/{n}*" for n in range(15)))
    assert refusal(cloudfront, "/more") == ("TooManyInvalidationsInProgress", 400)
    assert refusal(cloudfront, "/more*") == ("TooManyInvalidationsInProgress", 400)
    state = edge.state()
    assert state["distributions"][ID]["highest_in_progress"] == {"exact": 3000, "wildcards": 15}
    assert state["refused"] == {"TooManyInvalidationsInProgress": 2}
    edge.deploy(id="E2EXAMPLE", origin_url=NOWHERE, bucket="example")
    create(cloudfront, "/more", "/more*", distribution="E2EXAMPLE")


def test_calls_in_a_row_are_throttled(edge: Edge, cloudfront: Any) -> None:
    """With a 400, which botocore repeats by itself unless it is told to try once."""
    edge.control(throttling=True, calls_per_s=0.001, burst=3)
    for _ in range(2):
        create(cloudfront, "/a")
    cloudfront.list_invalidations(DistributionId=ID)
    assert refusal(cloudfront, "/a") == ("Throttling", 400)
    assert made(edge) == 2
    edge.control(reads_count=False)
    cloudfront.list_invalidations(DistributionId=ID)
    edge.control(calls_per_s=2)
    create(client(attempts=10), "/a")
    assert made(edge) == 3


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("throttle", ("Throttling", 400)),
        ("too-many", ("TooManyInvalidationsInProgress", 400)),
        ("unavailable", ("ServiceUnavailable", 503)),
        ("unavailable-after", ("ServiceUnavailable", 503)),
    ],
)
def test_a_fault_is_before_or_after_the_deed(
    edge: Edge, cloudfront: Any, fault: str, code: tuple[str, int]
) -> None:
    """The repeated call finds out: after the deed it gets the invalidation that was made."""
    edge.control(fault=fault)
    assert refusal(cloudfront, "/a", reference="r") == code
    assert made(edge) == (1 if fault.endswith("after") else 0)
    create(cloudfront, "/a", reference="r")
    assert made(edge) == 1
    state = edge.state()
    assert (state["faults"], state["refused"]) == ({fault: 1}, {})
    assert state["calls"] == {"CreateInvalidation": 2}


@pytest.mark.parametrize(("fault", "count"), [("hang", 0), ("hang-after", 1)])
def test_a_hanging_call_ends_with_the_callers_patience(
    edge: Edge, cloudfront: Any, fault: str, count: int
) -> None:
    """Nobody can tell from outside whether it was carried out."""
    edge.control(fault=fault, fault_action="CreateInvalidation")
    with pytest.raises(ReadTimeoutError):
        create(client(read_timeout=0.3), "/a", reference="r")
    assert made(edge) == count
    create(cloudfront, "/a", reference="r")
    assert made(edge) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"bucket": "example"},
        {"bucket": "example", "origin_url": NOWHERE, "orign_path": "/site"},
        {"bucket": "example", "origin_url": NOWHERE, "origin_path": "site/"},
        {"bucket": "example", "origin_url": NOWHERE, "wildcards": "some"},
    ],
)
def test_a_mistaken_setting_is_an_error(edge: Edge, settings: dict[str, str]) -> None:
    """Not a distribution that is something else than the test meant."""
    with pytest.raises(HTTPError, match="400"):
        edge.deploy(id="E3EXAMPLE", **settings)
    assert "E3EXAMPLE" not in edge.state()["distributions"]
    with pytest.raises(HTTPError, match="400"):
        edge.control(effect=0)


def test_latency_comes_after_the_deed(edge: Edge, cloudfront: Any) -> None:
    """CreateTime is the deed's."""
    edge.control(latency_ms=300)
    began = time.monotonic()
    one = create(cloudfront, "/a")["Invalidation"]
    assert time.monotonic() - began >= 0.3
    assert datetime.now(UTC) - one["CreateTime"] >= timedelta(seconds=0.29)


def test_a_distribution_can_be_described(cloudfront: Any) -> None:
    """As far as anybody needs it to know which paths are its: origin path, root object."""
    create(cloudfront, "/a")
    described = cloudfront.get_distribution(Id=ID)["Distribution"]
    config = cloudfront.get_distribution_config(Id=ID)["DistributionConfig"]
    assert described["InProgressInvalidationBatches"] == 1
    assert described["DistributionConfig"] == config
    assert config["Origins"]["Items"][0]["OriginPath"] == "/site"
    assert config["DefaultRootObject"] == ""
