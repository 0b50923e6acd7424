"""`holdstill invalidations`, on a Holdstill in memory."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.app import main
from cli.screens.history import age
from functions.domain.batch import BatchState
from functions.domain.hand_request import HandRequest, rows_by_hand
from functions.domain.invalidation_record import Aside, Contents, Record
from functions.domain.site import Site
from functions.domain.uploads import Change, Kind
from functions.domain.waiting import Waiting, rows_of
from tests.twins.clock import EPOCH, TwinClock
from tests.twins.deployed import CALLER, SHOP, STATIC, TwinListing, deployed
from tests.twins.uploads import TwinTable


class World:
    """A deployed Holdstill half an hour after EPOCH, and the command on it."""

    def __init__(self) -> None:
        self.table = TwinTable()
        self.clock = TwinClock()
        self.clock.sleep(1800)

    def run(self, *arguments: str) -> Result:
        """Run the command."""
        here = deployed(self.table, self.clock, TwinListing({}))
        return CliRunner().invoke(main, ["invalidations", *arguments], obj=lambda *_: here)

    def add(
        self,
        minute: int,
        *causes: Waiting,
        reasons: Mapping[str, str] = MappingProxyType({}),
        **known: Any,
    ) -> None:
        """Add a batch that was stored so many minutes after EPOCH."""
        at = EPOCH + timedelta(minutes=minute)
        paths = (*reasons, *dict.fromkeys(row.path.text for row in causes))
        record = Record(
            causes[0].distribution, f"{at:%Y%m%dT%H%M%SZ}-1", len(paths), len(reasons), at
        )
        record = replace(record, **known)
        self.table.records[record.distribution, record.batch_id] = record
        self.table.contents[record.distribution, record.batch_id] = Contents(paths, causes, reasons)


def uploaded(site: Site, key: str, at: datetime = EPOCH) -> Waiting:
    """Return the first row of an upload."""
    return next(rows_of(site, Change(site.bucket, key, Kind.CREATED, "01", at)))


def asked(site: Site, key: str, at: datetime = EPOCH) -> Waiting:
    """Return the first row of what was asked for by hand."""
    return rows_by_hand(site, HandRequest((key,)), at, CALLER)[0]


def answered(minute: int, name: str) -> dict[str, Any]:
    """Return what is known of a batch that CloudFront has."""
    at = EPOCH + timedelta(minutes=minute, seconds=1)
    return {
        "state": BatchState.ANSWERED,
        "asked_at": at,
        "invalidation_id": name,
        "created_at": at,
        "settled": True,
    }


@pytest.fixture
def world() -> World:
    """Return a world in which nothing has happened."""
    return World()


def test_it_tells_of_each_all_that_is_known(world: World) -> None:
    """State, age, paths with reasons, keys, who asked, and the times; the newest first."""
    world.add(
        0,
        uploaded(STATIC, "img/a b.png"),
        asked(STATIC, "docs/x"),
        reasons={"/gone/*": "4 of 4 have changed"},
        completed_at=EPOCH + timedelta(seconds=14.5),
        **answered(0, "I1"),
    )
    world.add(29, uploaded(SHOP, "site/a.png", EPOCH + timedelta(minutes=29)), **answered(29, "I2"))
    assert world.run().output.splitlines() == [
        "in progress, 1 min ago: I2 on E3EXAMPLE",
        "  paths    1 exact, 0 wildcards",
        "           /a.png",
        "  keys     1",
        "           site/a.png",
        "  asked by object created",
        "  times    uploaded 2026-11-25T18:29:00Z → requested +1.0 s → not completed yet",
        "completed, 30 min ago: I1 on E1EXAMPLE",
        "  paths    2 exact, 1 wildcard",
        "           /gone/*  4 of 4 have changed",
        "           /img/a%20b.png",
        "           /docs/x",
        "  keys     2",
        "           img/a b.png",
        "           docs/x",
        f"  asked by object created, {CALLER}",
        "  times    uploaded 2026-11-25T18:00:00Z → requested +1.0 s → completed +14.5 s",
        "Nothing waits.",
    ]


def test_a_completion_that_nobody_saw_is_not_claimed(world: World) -> None:
    """What was given up says so, and why; it has no time of completion."""
    why = "CloudFront has no such distribution any more"
    given_up_at = EPOCH + timedelta(minutes=5)
    known = {**answered(0, "I1"), "why": why, "given_up_at": given_up_at}
    world.add(0, uploaded(STATIC, "a.png"), **known)
    lines = world.run().output.splitlines()
    assert lines[:2] == [
        "not seen to complete, 30 min ago: I1 on E1EXAMPLE",
        f"  because  {why}",
    ]
    assert lines[-2].endswith("→ requested +1.0 s → given up +300.0 s")
    (entry,) = json.loads(world.run("--json").output)["invalidations"]
    assert (entry["state"], entry["completed_at"]) == ("not seen to complete", None)
    assert (entry["why"], entry["given_up_at"]) == (why, "2026-11-25T18:05:00.000000Z")


def test_what_was_asked_for_was_not_uploaded(world: World) -> None:
    """Its times begin when somebody asked."""
    world.add(0, asked(STATIC, "docs/x"), **answered(0, "I1"))
    assert "  times    asked 2026-11-25T18:00:00Z → requested +1.0 s" in world.run().output


def test_what_waits_is_shown_once(world: World) -> None:
    """What is in a batch that is under way is told of with that batch."""
    row, other = uploaded(STATIC, "a.png"), uploaded(STATIC, "b.png")
    for each in (row, other):
        world.table.waiting["E1EXAMPLE"][each.row_id] = each
    world.add(20, row, state=BatchState.ASKED, asked_at=EPOCH)
    shown = world.run().output
    assert "asked, 10 min ago: batch 20261125T182000Z-1 on E1EXAMPLE" in shown
    assert "Waiting: 1 row, the oldest for 30 min\n           /b.png on E1EXAMPLE" in shown


def test_what_was_refused_and_set_aside_has_its_reason(world: World) -> None:
    """And its keys, so that somebody can look at them."""
    world.add(1, uploaded(STATIC, "a.png"), state=BatchState.REFUSED, why="Throttling: slower")
    world.table.asides["E1EXAMPLE", "/~"] = Aside(
        "E1EXAMPLE", "/~", "InvalidArgument: no", EPOCH, ("~",)
    )
    shown = world.run("static").output
    assert "refused, 29 min ago" in shown
    assert "  because  Throttling: slower" in shown
    assert "set aside, because cloudfront refuses it: 1 path" in shown.lower()
    assert "  /~ on E1EXAMPLE, 30 min ago: InvalidArgument: no\n           ~" in shown


def test_a_site_has_its_own_history(world: World) -> None:
    """Also where it shares a distribution with another; and the limit counts its own."""
    twin = replace(SHOP, name="blog", distributions=STATIC.distributions)
    here = deployed(world.table, world.clock, TwinListing({}), STATIC, twin)
    for minute in range(6):
        world.add(minute, uploaded((STATIC, twin)[minute % 2], f"site/{minute}.png"))
    done = CliRunner().invoke(
        main, ["invalidations", "blog", "--limit", "2", "--json"], obj=lambda *_: here
    )
    found = json.loads(done.output)["invalidations"]
    assert [[row["key"] for row in one["causes"]] for one in found] == [
        ["site/5.png"],
        ["site/3.png"],
    ]


def test_a_quiet_site_on_a_busy_distribution_is_not_looked_for_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it stopped is said; where there is nothing older, there is nothing to say."""
    twin = replace(SHOP, name="blog", distributions=STATIC.distributions)
    here = deployed(world.table, world.clock, TwinListing({}), STATIC, twin)
    done = {**answered(0, "I"), "completed_at": EPOCH}  # what is open is read in any case
    world.add(0, uploaded(twin, "site/old.png"), **done)
    for minute in range(1, 7):
        world.add(minute, uploaded(STATIC, f"{minute}.png"), **done)
    calls: list[str] = []
    world.table.steps = calls.append

    def run(*arguments: str) -> str:
        return CliRunner().invoke(main, ["invalidations", *arguments], obj=lambda *_: here).output

    monkeypatch.setattr("cli.history.MOST_READ", 5)
    said = "Only the newest 5 on its distributions were looked through.\nNothing waits.\n"
    assert run("blog", "--limit", "2") == said
    assert calls.count("contents") == 2 * 5  # before and after each
    assert json.loads(run("blog", "--json", "--limit", "2"))["looked_through"] == 5
    assert run("blog", "--limit", "6").startswith("Only the newest 6 ")
    assert "looked through" not in run("--limit", "6")
    assert json.loads(run("static", "--json", "--limit", "5"))["looked_through"] is None
    monkeypatch.setattr("cli.history.MOST_READ", 7)
    assert "looked through" not in run("blog")


def test_json_has_everything(world: World) -> None:
    """Every path and key, escaped, for programs."""
    keys = [f"資/{number}" for number in range(40)]
    world.add(0, *(uploaded(STATIC, key) for key in keys), **answered(0, "I1"))
    waiting = asked(SHOP, "site/b")
    world.table.waiting["E3EXAMPLE"][waiting.row_id] = waiting
    output = world.run("--json").output
    assert output.isascii()
    found = json.loads(output)
    (one,) = found["invalidations"]
    assert [row["key"] for row in one["causes"]] == keys
    assert len(one["exact"]) == 40
    assert (one["state"], one["requested_at"]) == ("in progress", "2026-11-25T18:00:01.000000Z")
    assert [(row["path"], row["asked_by"]) for row in found["waiting"]] == [("/b", CALLER)]
    assert "and 35 more" in world.run().output


def test_no_history_and_no_such_site_are_said(world: World) -> None:
    """An empty answer would look like a fault."""
    assert world.run().output == "No invalidation yet.\nNothing waits.\n"
    assert world.run("statik").exit_code == 2
    assert world.run("--limit", "0").exit_code == 2


def test_nothing_is_written_by_looking(world: World) -> None:
    """Whoever may only read can look."""
    calls: list[str] = []
    world.table.steps = calls.append
    world.add(0, uploaded(STATIC, "a"))
    world.run()
    assert set(calls) == {"history", "contents", "waiting", "open", "aside"}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0 s"), (59, "59 s"), (90, "2 min"), (7200, "2 h"), (3 * 86_400, "3 d")],
)
def test_an_age_is_in_its_largest_unit(seconds: float, said: str) -> None:
    """As people say it; a clock that is behind makes nothing negative."""
    assert age(seconds) == said
