"""CloudFront's adapter, before the lab's CloudFront and each of its faults."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from functions.adapters import clients
from functions.adapters.cloudfront import CloudFrontApi
from functions.domain.batch import LookUp, Made, Missing, Refused, Unanswered
from functions.domain.errors import CloudFrontError, NoSuchDistributionError, NotFoundYetError
from functions.domain.invalidation_limits import Meaning
from functions.domain.looking_up import LOOKED_AT_ONCE
from lab.edge import process
from lab.edge.controls import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.edge.process import Edge

ID = "E1EXAMPLE"
NOWHERE = "http://127.0.0.1:1"
IMPATIENT_S = 1


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
    running_edge.deploy(id=ID, origin_url=NOWHERE, bucket="example")
    running_edge.control(throttling=False, completion_s=60)
    return running_edge


@pytest.fixture
def api(edge: Edge) -> CloudFrontApi:
    """Return the adapter, its clients as the product's but in their patience."""
    return CloudFrontApi(client(edge.url, clients.PATIENT), client(edge.url, clients.CREATING))


def client(url: str, config: Config, **more: Any) -> Any:
    """Return a client of that configuration, but in its patience."""
    session: Any = boto3.Session("test", "test", region_name="us-east-1")
    settings = config.merge(Config(read_timeout=IMPATIENT_S, **more))
    return session.client("cloudfront", endpoint_url=url, config=settings)


def made(edge: Edge) -> int:
    """Return how many invalidations there are."""
    there: int = edge.state()["distributions"][ID]["invalidations"]
    return there


def calls(edge: Edge, action: str) -> int:
    """Return how many calls of an action there were."""
    there: int = edge.state()["calls"].get(action, 0)
    return there


def test_an_invalidation_is_made(api: CloudFrontApi, edge: Edge) -> None:
    """CloudFront's id and its CreateTime come back, the latter in UTC."""
    before_s = time.time()
    answer = api.create(ID, "r", ["/a%20b.png", "/docs/*"])
    assert isinstance(answer, Made)
    assert answer.invalidation_id.startswith("I")
    assert str(answer.created_at.tzinfo) == "UTC"
    assert abs(answer.created_at.timestamp() - before_s) < 5
    assert edge.state()["distributions"][ID]["paths"] == {"exact": 1, "wildcards": 1}


@pytest.mark.parametrize(
    ("fault", "meaning"),
    [
        (Fault.THROTTLE, Meaning.THROTTLED),
        (Fault.TOO_MANY, Meaning.FULL),
        (Fault.UNAVAILABLE, None),
        (Fault.UNAVAILABLE_AFTER, None),
        (Fault.HANG, None),
        (Fault.HANG_AFTER, None),
    ],
)
def test_a_call_that_fails_is_one_call(
    api: CloudFrontApi, edge: Edge, fault: Fault, meaning: Meaning | None
) -> None:
    """It is not repeated behind the back of who counts calls; asked again, the first one is had."""
    edge.control(fault=fault)
    answer = api.create(ID, "r", ["/a"])
    assert calls(edge, "CreateInvalidation") == 1
    if meaning is None:
        assert answer == Unanswered()
    else:
        assert isinstance(answer, Refused)
        assert answer.meaning is meaning
    assert made(edge) == fault.comes_after_the_deed
    again = api.create(ID, "r", ["/a"])
    assert isinstance(again, Made)
    assert made(edge) == 1
    assert api.look_up(ID, LookUp("r", ("/a",))) == again


def test_every_fault_of_the_lab_is_tried() -> None:
    """A new one is to be added above."""
    (mark,) = test_a_call_that_fails_is_one_call.pytestmark  # type: ignore[attr-defined]
    assert {fault for fault, _ in mark.args[1]} == set(Fault)


@pytest.mark.parametrize("code", ["InvalidationBatchAlreadyExists", "InvalidArgument"])
def test_a_reused_reference_is_looked_up(api: CloudFrontApi, edge: Edge, code: str) -> None:
    """By the documented code and by the one that users see it is the same news."""
    edge.control(reused_reference=code)
    first = api.create(ID, "r", ["/a", "/b"])
    answer = api.create(ID, "r", ["/c"])
    assert isinstance(answer, Refused)
    assert answer.meaning is Meaning.REFERENCE_TAKEN
    assert answer.why.startswith(f"{code}: Your request contains a caller reference")
    assert api.look_up(ID, LookUp("r", ("/a", "/b"))) == first
    for reference, paths in (("r", ("/c",)), ("r", ("/b", "/a")), ("other", ("/a", "/b"))):
        assert api.look_up(ID, LookUp(reference, paths)) == Missing()


def test_a_bad_path_is_told_from_the_rest(api: CloudFrontApi) -> None:
    """Also a distribution that there is not, and more paths than a call takes."""
    meanings = [
        api.create(*arguments)
        for arguments in (
            (ID, "1", ["/a", "/a b"]),
            (ID, "2", [f"/{number}" for number in range(3_001)]),
            ("E9NONE", "3", ["/a"]),
        )
    ]
    assert [answer.meaning for answer in meanings if isinstance(answer, Refused)] == [
        Meaning.BAD_PATHS,
        Meaning.BAD_PATHS,
        Meaning.FORBIDDEN,
    ]


def test_the_newest_is_looked_at_first(api: CloudFrontApi, edge: Edge) -> None:
    """What is looked up was asked for a moment ago: two calls, however long the history is."""
    for number in range(5):
        api.create(ID, str(number), ["/a"])
    assert isinstance(api.look_up(ID, LookUp("4", ("/a",))), Made)
    assert (calls(edge, "ListInvalidations"), calls(edge, "GetInvalidation")) == (1, 1)


def test_a_look_is_a_few_calls_and_goes_on_where_it_was(api: CloudFrontApi, edge: Edge) -> None:
    """However many were made about then; neither found nor missing is an error until all are."""
    edge.control(throttling=False)
    first = api.create(ID, "first", ["/a"])
    for number in range(5):
        api.create(ID, str(number), ["/a"])
    with pytest.raises(NotFoundYetError) as raised:
        api.look_up(ID, LookUp("first", ("/a",)))
    assert raised.value.looked == calls(edge, "GetInvalidation") == LOOKED_AT_ONCE
    assert api.look_up(ID, LookUp("first", ("/a",), looked=raised.value.looked)) == first
    assert api.look_up(ID, LookUp("none", ("/a",), looked=raised.value.looked)) == Missing()


def test_what_was_made_before_is_not_looked_at(api: CloudFrontApi, edge: Edge) -> None:
    """The list has each one's CreateTime: no call is spent on what it cannot be."""
    made = api.create(ID, "r", ["/a"])
    assert isinstance(made, Made)
    long_after = made.created_at + timedelta(minutes=2)
    assert api.look_up(ID, LookUp("r", ("/a",), long_after)) == Missing()
    assert calls(edge, "GetInvalidation") == 0
    assert api.look_up(ID, LookUp("r", ("/a",), made.created_at)) == made


def test_a_distribution_that_is_gone_has_nothing_in_progress(api: CloudFrontApi) -> None:
    """That is told from a service that is ill, which may know of much."""
    with pytest.raises(NoSuchDistributionError):
        api.completed("E9NONE", ["I1"])
    assert api.look_up("E9NONE", LookUp("r", ("/a",))) == Missing()


def test_completion_is_read_over_pages(api: CloudFrontApi, edge: Edge) -> None:
    """As far as it takes, and no further: the newest are mostly what is asked for."""
    edge.control(completion_s=0, limits=False)
    oldest = api.create(ID, "first", ["/a"])
    for number in range(120):
        api.create(ID, str(number), ["/a"])
    edge.control(completion_s=60)
    newest = api.create(ID, "last", ["/a"])
    assert isinstance(oldest, Made)
    assert isinstance(newest, Made)
    both = [oldest.invalidation_id, newest.invalidation_id]
    assert api.completed(ID, both) == {oldest.invalidation_id}
    assert calls(edge, "ListInvalidations") == 2
    assert api.completed(ID, both[1:]) == frozenset()
    assert calls(edge, "ListInvalidations") == 3
    assert api.completed(ID, []) == frozenset()
    assert calls(edge, "ListInvalidations") == 3
    assert calls(edge, "GetInvalidation") == 0


def test_what_the_list_does_not_reach_is_asked_for_singly(
    api: CloudFrontApi, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what CloudFront does not know is not in progress, or it would take room for ever."""
    monkeypatch.setattr("functions.adapters.cloudfront.LISTED", 1)
    first, second = (api.create(ID, reference, ["/a"]) for reference in "12")
    assert isinstance(first, Made)
    assert isinstance(second, Made)
    names = [first.invalidation_id, second.invalidation_id, "I0UNKNOWN"]
    assert api.completed(ID, names) == {"I0UNKNOWN"}
    assert calls(edge, "GetInvalidation") == 2


def test_reading_is_patient_with_the_budget(api: CloudFrontApi, edge: Edge) -> None:
    """Throttled reads are repeated until they get through; the call that makes is not."""
    api.create(ID, "r", ["/a"])
    edge.control(throttling=True, calls_per_s=5, burst=1)
    assert isinstance(api.look_up(ID, LookUp("r", ("/a",))), Made)
    answer = api.create(ID, "s", ["/a"])
    assert isinstance(answer, Refused)
    assert answer.meaning is Meaning.THROTTLED


@pytest.mark.parametrize("action", ["ListInvalidations", "GetInvalidation"])
def test_reading_that_fails_for_good_is_an_error(
    api: CloudFrontApi, edge: Edge, action: str
) -> None:
    """Not Missing: what could not be read may well be there."""
    api.create(ID, "r", ["/a"])
    edge.control(fault=Fault.UNAVAILABLE, fault_action=action, fault_times=20)
    less = client(edge.url, clients.PATIENT, retries={"mode": "standard", "total_max_attempts": 2})
    with pytest.raises(CloudFrontError, match="ServiceUnavailable"):
        CloudFrontApi(less, less).look_up(ID, LookUp("r", ("/a",)))
    with pytest.raises(CloudFrontError, match="ServiceUnavailable"):
        CloudFrontApi(less, less).completed(ID, ["I1"])


def test_a_service_that_is_not_there_gives_no_answer() -> None:
    """Which is no news of what it has."""
    nowhere = client(NOWHERE, clients.CREATING)
    gone = CloudFrontApi(nowhere, nowhere)
    assert gone.create(ID, "r", ["/a"]) == Unanswered()
    with pytest.raises(CloudFrontError):
        gone.completed(ID, ["I1"])


def test_a_proxys_page_is_no_answer(edge: Edge) -> None:
    """It looks like an answer without any invalidation in it."""
    once = client(f"{edge.url}/_lab/state?", clients.CREATING)
    once.meta.events.register("after-call.*", clients.refuse_strangers)
    assert CloudFrontApi(once, once).create(ID, "r", ["/a"]) == Unanswered()
