"""What `holdstill invalidate` says before it acts, and when it acts at all."""

from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from cli.app import main
from cli.errors import NoAnswerError
from functions.domain.errors import TableError
from tests.twins.deployed import CALLER
from tests.unit.cli.invalidate.commanded import World


def test_the_rows_wait_and_each_distribution_is_woken(world: World) -> None:
    """At once, and after the rows are there: a wake before them would find nothing."""
    order: list[str] = []
    world.table.steps = order.append
    done = world.run("static", "docs/index.html", "img/a b.png", "--yes")
    assert done.exit_code == 0, done.output
    for distribution in ("E1EXAMPLE", "E2EXAMPLE"):
        assert world.texts(distribution) == [
            "/docs/",
            "/docs/index",
            "/docs/index.html",
            "/img/a%20b.png",
        ]
    assert {row.asked_by for row in world.table.waiting["E1EXAMPLE"].values()} == {CALLER}
    now = world.clock.wall()
    assert world.table.messages == [(now, "E1EXAMPLE"), (now, "E2EXAMPLE")]
    assert order.index("wake") > max(i for i, name in enumerate(order) if name == "ask")


@pytest.mark.parametrize(
    "what", [["img/a b.png"], ["a*b", "--prefix", "img/"], ["--all"], ["gone.png", "/index.html"]]
)
def test_a_dry_run_does_nothing_and_says_what_would_be_done(world: World, what: list[str]) -> None:
    """Every line but the last is the same, and that differs only in its beginning."""
    dry = world.run("static", *what, "--dry-run")
    assert dry.exit_code == 0
    assert world.is_untouched
    wet = world.run("static", *what, "--yes")
    assert not world.is_untouched
    *said, would = dry.output.splitlines()
    *did, asked = wet.output.splitlines()
    assert said == did
    assert would == asked.replace("Asked", "Dry run, nothing is done: would ask", 1) != asked


def test_it_shows_what_it_costs_before_it_acts(world: World) -> None:
    """Paths with their reasons, objects hit, free paths left, dollars: of every distribution."""
    world.table.used["2026-11"]["shop"] = 997
    done = world.run("static", "docs/index.html", "a*b", "--dry-run")
    assert done.output.splitlines() == [
        "static: bucket example-static, distributions E1EXAMPLE and E2EXAMPLE",
        "  /docs/index.html",
        "  /docs/            shows docs/index.html too",
        "  /docs/index       shows docs/index.html too",
        "  /a*               the key has a * in its name, which no exact path can name",
        "objects  1",
        "         a*b is no object now: for all that begins with it say --prefix a",
        (
            "paths    8 at most, 4 on each of 2 distributions; of the month's 1,000 free ones 3 "
            "are left by Holdstill's own count"
        ),
        "cost     0.025 USD at most",
        f"Dry run, nothing is done: would ask for 4 paths on E1EXAMPLE and E2EXAMPLE, as {CALLER}.",
    ]


@pytest.mark.usefixtures("terminal")
def test_nothing_is_done_when_the_answer_is_no(world: World) -> None:
    """Nor when there is none; a yes does it."""
    for typed in ("n\n", "\n", ""):
        refused = world.run("static", "index.html", typed=typed)
        assert refused.exit_code == 1
        assert "Invalidate? [y/N]" in refused.output
        assert world.is_untouched
    assert world.run("static", "index.html", typed="y\n").exit_code == 0
    assert not world.is_untouched


def test_nobody_to_ask_is_no_yes(world: World) -> None:
    """A script says --yes."""
    refused = world.run("static", "index.html")
    assert refused.exit_code == 2
    assert "say --yes" in refused.output
    assert world.is_untouched


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["statc", "a"], 'no site "statc": did you mean static? Sites: shop, static'),
        (["zzz", "a"], 'no site "zzz". Sites: shop, static'),
        (["static"], "Nothing to clear"),
        (["static", "a", "--all"], "--all clears everything"),
        (["static", "a", "--dry-run", "--wait"], "--dry-run asks for nothing"),
        (["static", "good.png", "js/app.js.map"], 'ignore has "**/*.map"'),
        (["shop", "site/good.png", "bad.png"], "outside of the origin path /site"),
        (["static", "--prefix", ""], "prefix '' is empty: --all clears everything"),
    ],
)
def test_one_mistake_and_nothing_at_all_is_done(
    world: World, arguments: list[str], why: str
) -> None:
    """The status is 2, and the message says what would be right."""
    refused = world.run(*arguments, "--yes")
    assert refused.exit_code == 2
    assert why in refused.output
    assert world.is_untouched


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["static", "--all", "--prefix", "x", "--yes"], "--all clears everything"),
        (["static", "--yes"], "Nothing to clear"),
        (["static", "a", "--dry-run", "--wait"], "--dry-run asks for nothing"),
        (["static", "a"], "say --yes"),
    ],
)
def test_a_misuse_is_said_before_aws_is_asked(arguments: list[str], why: str) -> None:
    """Who has no credentials either is told of the first thing first, with a misuse's status."""

    def connect(*_: object) -> Any:
        raise NoAnswerError("No AWS credentials")

    refused = CliRunner().invoke(main, ["invalidate", *arguments], obj=connect)
    assert refused.exit_code == 2
    assert why in refused.output
    asked = CliRunner().invoke(main, ["invalidate", "static", "a", "--dry-run"], obj=connect)
    assert (asked.exit_code, asked.output) == (1, "Error: No AWS credentials\n")


@pytest.mark.parametrize("at", ["ask", "wake"])
def test_who_interrupts_the_asking_is_told_that_some_may_be_asked_for(
    world: World, at: str
) -> None:
    """What is in the table is sent, whoever has gone; "Aborted!" would say otherwise."""

    def interrupt(name: str) -> None:
        if name == at and any(world.table.waiting.values()):
            raise KeyboardInterrupt

    world.table.steps = interrupt
    failed = world.run("static", "index.html", "--yes")
    assert world.texts("E1EXAMPLE")
    assert failed.exit_code == 1
    assert "Aborted" not in failed.output
    assert "Some of it may be asked for" in failed.output
    assert "holdstill invalidations static" in failed.output


@pytest.mark.usefixtures("terminal")
def test_it_is_asked_for_when_somebody_says_yes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invalidation that was made while he thought about it covers nothing of it."""
    begun = world.clock.wall()
    monkeypatch.setattr("cli.invalidate.confirm", lambda _: world.clock.sleep(60))
    assert world.run("static", "index.html").exit_code == 0
    asked = {row.change.at for row in world.table.waiting["E1EXAMPLE"].values()}
    assert asked == {begun + timedelta(seconds=60)}


@pytest.mark.parametrize(
    ("failing", "said"), [("used", "throttled"), ("ask", "ask once more"), ("wake", "a minute")]
)
def test_a_failure_is_a_sentence_and_a_status(world: World, failing: str, said: str) -> None:
    """No traceback; and it says whether to ask once more."""

    def fail(name: str) -> None:
        if name == failing:
            raise TableError("throttled")

    world.table.steps = fail
    failed = world.run("static", "index.html", "--yes")
    assert failed.exit_code == 1
    assert isinstance(failed.exception, SystemExit)
    assert said in failed.output
