"""The time of a request by hand is AWS's, whatever the user's clock says."""

import json
from datetime import datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.session import Session
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cli import aws, deployment
from cli.app import main
from cli.aws_clock import AwsClock
from cli.errors import NoAnswerError
from functions.adapters import clients
from functions.domain.asked_progress import Stage
from functions.domain.batch import BatchState
from functions.domain.coverage import Invalidation, covers
from functions.domain.invalidation_record import Contents, Record
from functions.domain.sites import Sites
from tests.twins.clock import EPOCH, TwinClock
from tests.twins.deployed import SHOP, TwinListing, deployed
from tests.twins.uploads import TwinTable

IDENTITY = (
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>a</Arn>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
)


class Skewed(TwinClock):
    """The clock of a machine that is so many seconds before the true one."""

    def __init__(self, skew_s: float) -> None:
        super().__init__()
        self.true = TwinClock()
        self._skew_s = skew_s

    def now_ns(self) -> int:
        """As in the port."""
        return self.true.now_ns()

    def wall(self) -> datetime:
        """As in the port."""
        return self.true.wall() + timedelta(seconds=self._skew_s)

    def sleep(self, seconds: float) -> None:
        """As in the port."""
        self.true.sleep(seconds)


def dated(at: datetime) -> Any:
    """Return an answer of that time; an HTTP date has whole seconds."""
    return SimpleNamespace(headers={"date": format_datetime(at, usegmt=True)})


def set_by(local: Skewed, there_s: float = 0.0, back_s: float = 0.0) -> AwsClock:
    """Return the clock of that machine after a call that took so long each way."""
    clock = AwsClock(local)
    clock.sent()
    local.sleep(there_s)
    answer = dated(local.true.wall())
    local.sleep(back_s)
    clock.answered(answer)
    return clock


ways = st.floats(0, 20)


@given(st.floats(-1e6, 1e6), ways, ways, ways, ways)
def test_it_is_never_before_the_true_time(
    skew_s: float, begun_s: float, there_s: float, back_s: float, later_s: float
) -> None:
    """And after it by less than a second and the call."""
    local = Skewed(skew_s)
    local.sleep(begun_s)
    clock = set_by(local, there_s, back_s)
    clock.sleep(later_s)
    ahead_s = (clock.wall() - local.true.wall()).total_seconds()
    assert -1e-5 <= ahead_s <= 1 + there_s + 1e-5


@pytest.mark.parametrize("skew_s", [-120, 120])
def test_a_skewed_machine_asks_for_a_new_invalidation_and_sees_it_completed(skew_s: float) -> None:
    """Slow, an earlier invalidation would cover it; fast, its own would never be found."""
    table, local = TwinTable(), Skewed(skew_s)
    local.true.sleep(600)
    earlier = local.true.wall() - timedelta(seconds=60)
    store(table, "b0", (), earlier, earlier)
    clock = set_by(local)

    def answer(seconds: float) -> None:
        local.true.sleep(seconds)
        if "b1" not in {name for _, name in table.records}:
            rows = tuple(table.waiting["E3EXAMPLE"].values())
            made = local.true.wall()
            (row,) = rows
            assert not covers(Invalidation.of([row.path], earlier), row.path, row.change)
            store(table, "b1", rows, made, made)
            table.waiting["E3EXAMPLE"].clear()

    clock.sleep = answer  # type: ignore[method-assign]
    here = deployed(table, clock, TwinListing({}))  # type: ignore[arg-type]
    done = CliRunner().invoke(
        main,
        ["invalidate", "shop", "site/a.png", "--yes", "--wait"],
        obj=lambda *_: here,
    )
    assert done.exit_code == 0, done.output
    assert "Ib1" in done.output
    assert "Ib0" not in done.output
    assert Stage.NOWHERE.value not in done.output


def store(
    table: TwinTable, name: str, causes: Any, created_at: datetime, completed_at: datetime
) -> None:
    """Store an invalidation of the one path."""
    table.records["E3EXAMPLE", name] = Record(
        "E3EXAMPLE",
        f"{created_at:%Y%m%dT%H%M%SZ}-{name}",
        1,
        0,
        created_at,
        BatchState.ANSWERED,
        invalidation_id=f"I{name}",
        created_at=created_at,
        completed_at=completed_at,
        settled=True,
    )
    record = table.records["E3EXAMPLE", name]
    table.contents["E3EXAMPLE", record.batch_id] = Contents(("/a.png",), causes)


def test_each_answer_of_a_client_sets_it() -> None:
    """By botocore's own events: of a try that got no answer only the next one counts."""
    local = Skewed(-120)
    local.sleep(10)
    session = Session()
    session.set_credentials("x", "x")
    client: Any = session.create_client("sts", "eu-central-1")
    clock = AwsClock(local)
    clock.follow(client)
    tries: list[int] = []

    def answer(request: Any, **_: object) -> AWSResponse:
        local.sleep(30)
        tries.append(local.now_ns())
        headers: Any = {"date": format_datetime(local.true.wall(), usegmt=True)}
        status = 503 if len(tries) == 1 else 200
        return AWSResponse(request.url, status, headers, Raw(IDENTITY))

    client.meta.events.register_last("before-send.*", answer)
    client.get_caller_identity()
    assert len(tries) == 2
    ahead_s = (clock.wall() - local.true.wall()).total_seconds()
    assert 30 < ahead_s <= 31


class Asleep(Skewed):
    """The clock of a machine that can sleep: its monotonic clock then stands still."""

    def __init__(self) -> None:
        super().__init__(0)
        self._slept_ns = 0

    def now_ns(self) -> int:
        """As in the port."""
        return self.true.now_ns() - self._slept_ns

    def suspend(self, seconds: float) -> None:
        """Sleep."""
        self.true.sleep(seconds)
        self._slept_ns += round(seconds * 1e9)


def test_who_sleeps_over_the_question_asks_when_he_says_yes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was invalidated meanwhile would count for it by a clock that slept as well."""
    table, local = TwinTable(), Asleep()
    clock = set_by(local)

    def answer(name: str) -> None:
        if name == "used":  # before it is read, and after
            clock.sent()
            clock.answered(dated(local.true.wall()))

    table.steps = answer
    monkeypatch.setattr("cli.confirmation.is_somebody_there", lambda: True)
    monkeypatch.setattr("cli.invalidate.confirm", lambda _: local.suspend(3_600))
    here = deployed(table, clock, TwinListing({}))  # type: ignore[arg-type]
    done = CliRunner().invoke(main, ["invalidate", "shop", "site/a.png"], obj=lambda *_: here)
    assert done.exit_code == 0, done.output
    (row,) = table.waiting["E3EXAMPLE"].values()
    assert timedelta(0) <= row.change.at - local.true.wall() <= timedelta(seconds=1)


def test_the_answer_that_follows_the_yes_sets_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is connected: the account's answer does, those that --wait looks at do not."""
    at, site = EPOCH, json.loads(Sites.of([SHOP]).to_json())["sites"][0]
    found = deployment.read(
        {"SiteShop": json.dumps({"site": site, "table": "t", "wakes_url": "u"})}, ""
    )

    def answer(request: Any, **_: object) -> AWSResponse:
        json_type = "application/x-amz-json-1.0"
        headers: Any = {"date": format_datetime(at, usegmt=True), "content-type": json_type}
        return AWSResponse(request.url, 200, headers, Raw('{"Items": []}'))

    def made(*arguments: Any) -> Any:
        client = clients.made(*arguments)
        client.meta.events.register_last("before-send.dynamodb", answer)
        return client

    def find(stacks: Any) -> deployment.Deployment:
        del stacks
        return found

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setattr(aws, "made", made)
    monkeypatch.setattr(deployment, "find", find)
    here = aws.connect(None, "eu-central-1")
    here.account.used(EPOCH)
    set_at = here.clock.wall()
    at += timedelta(hours=1)
    assert here.batches.aside("E3EXAMPLE") == []
    assert here.clock.wall() - set_at < timedelta(minutes=1)
    here.account.used(EPOCH)
    assert here.clock.wall() - set_at > timedelta(minutes=59)


class Raw:
    """The body of an answer."""

    def __init__(self, body: str) -> None:
        self._body = body.encode()

    def stream(self, **_: object) -> list[bytes]:
        """Return it."""
        return [self._body]


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}])
def test_an_answer_without_a_time_sets_no_clock(headers: dict[str, str]) -> None:
    """The user's own is not taken instead."""
    clock = AwsClock(Skewed(0))
    clock.sent()
    clock.answered(SimpleNamespace(headers=headers))
    with pytest.raises(NoAnswerError, match="has no time"):
        clock.wall()
    clock.answered(dated(EPOCH))
    assert clock.wall() > EPOCH
