"""`holdstill invalidate`, on a Holdstill in memory."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from click.testing import CliRunner, Result

from cli import confirmation, hits
from cli.app import main
from functions.domain.batch import BatchState
from functions.domain.errors import TableError
from functions.domain.invalidation_record import Aside, Contents, Record
from tests.twins.clock import TwinClock
from tests.twins.deployed import CALLER, TwinListing, deployed
from tests.twins.uploads import TwinTable

KEYS = ("docs/index.html", "img/a b.png", "img/b.png", "index.html")


class Steps(TwinClock):
    """A clock at whose every wait the next thing happens."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Callable[[], None]] = []

    def sleep(self, seconds: float) -> None:
        """Let time pass, and the next thing happen."""
        super().sleep(seconds)
        if self.steps:
            self.steps.pop(0)()


class World:
    """A deployed Holdstill, and the command on it."""

    def __init__(self) -> None:
        self.table = TwinTable()
        self.clock = Steps()
        self.listing = TwinListing({"example-static": KEYS})

    def run(self, *arguments: str, typed: str = "", charset: str = "utf-8") -> Result:
        """Run the command."""
        here = deployed(self.table, self.clock, self.listing)
        return CliRunner(charset=charset).invoke(
            main, ["invalidate", *arguments], input=typed, obj=lambda *_: here
        )

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was ever written or sent."""
        return not (any(self.table.waiting.values()) or self.table.messages or self.table.due)

    def texts(self, distribution: str) -> list[str]:
        """Return the paths that wait on a distribution."""
        return sorted(row.path.text for row in self.table.waiting[distribution].values())

    def batch(self, distribution: str) -> None:
        """Put all that waits on a distribution into a batch that is about to be asked for."""
        causes = tuple(self.table.waiting[distribution].values())
        paths = tuple(row.path.text for row in causes)
        record = Record(distribution, "b1", len(paths), 0, self.clock.wall(), BatchState.ASKED)
        self.table.records[distribution, "b1"] = record
        self.table.contents[distribution, "b1"] = Contents(paths, causes)

    def answer(self, distribution: str) -> None:
        """Let CloudFront answer for it, and its rows be deleted."""
        self.change(
            distribution,
            state=BatchState.ANSWERED,
            invalidation_id=f"I{distribution}",
            created_at=self.clock.wall(),
            settled=True,
        )
        self.table.waiting[distribution].clear()

    def complete(self, distribution: str) -> None:
        """Let it be seen completed."""
        self.change(distribution, completed_at=self.clock.wall())

    def change(self, distribution: str, **changes: object) -> None:
        """Change the batch's record."""
        name = (distribution, "b1")
        self.table.records[name] = replace(self.table.records[name], **changes)  # type: ignore[arg-type]


@pytest.fixture
def world() -> World:
    """Return a world in which nothing was done yet."""
    return World()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let somebody be there to be asked."""
    monkeypatch.setattr(confirmation, "is_somebody_there", lambda: True)


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


def test_a_prefix_hits_what_is_below_it_and_its_other_addresses(world: World) -> None:
    """`/docs/in*` does not clear `/docs/`, which shows the same file."""
    done = world.run("static", "--prefix", "docs/in", "--yes")
    assert world.texts("E1EXAMPLE") == ["/docs/", "/docs/in*"]
    assert "objects  1\n" in done.output


def test_a_large_bucket_is_many_and_is_not_listed_to_its_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the cap there is a number."""
    monkeypatch.setattr(hits, "MOST_LISTED", 4)
    assert "objects  4\n" in world.run("static", "--all", "--dry-run").output
    monkeypatch.setattr(hits, "MOST_LISTED", 2)
    world.listing.told = 0
    assert "objects  many" in world.run("static", "--all", "--dry-run").output
    assert world.listing.told == 3


def test_who_may_not_list_may_clear(world: World) -> None:
    """The count is for information."""
    world.listing.fault = "AccessDenied"
    done = world.run("static", "img/b.png", "--prefix", "docs/", "--yes")
    assert done.exit_code == 0
    assert "not counted: AccessDenied" in done.output
    assert world.texts("E1EXAMPLE") == ["/docs/*", "/img/b.png"]


def test_a_key_that_no_object_has_may_be_mistyped(world: World) -> None:
    """It is cleared all the same: what was removed may be cached still."""
    done = world.run("static", "gone.png", "/index.html", "--yes")
    assert "gone.png is no object now; what is cached of it is cleared" in done.output
    assert "/index.html is no object now: did you mean index.html, without a" in done.output
    assert world.texts("E1EXAMPLE") == ["//", "//index", "//index.html", "/gone.png"]


def test_no_key_can_command_the_terminal(world: World) -> None:
    """Control characters and rich's markup are shown, not obeyed."""
    done = world.run("static", "\x1b[31m[bold]", "--dry-run")
    assert "\x1b" not in done.output
    assert "\\x1b[31m[bold] is no object now" in done.output


def test_a_terminal_that_lacks_the_letters_is_shown_their_numbers(world: World) -> None:
    """And what was asked for is asked for all the same."""
    done = world.run("static", "資.png", "--yes", charset="ascii")
    assert done.exit_code == 0, done.exception
    assert "\\u8cc7.png is no object now" in done.output
    assert world.texts("E1EXAMPLE") == ["/%E8%B3%87.png"]


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


def test_waiting_ends_when_every_distribution_is_completed(world: World) -> None:
    """And not before: each step is shown with its time."""
    steps = [world.batch, world.answer, world.complete]
    for distribution in ("E1EXAMPLE", "E2EXAMPLE"):
        world.clock.steps += [lambda step=step, name=distribution: step(name) for step in steps]  # type: ignore[misc]
    done = world.run("static", "img/b.png", "--yes", "--wait")
    assert done.exit_code == 0, done.output
    assert world.clock.steps == []
    assert done.stdout.splitlines()[-8:] == [
        "  +0.0 s  E1EXAMPLE  waiting",
        "  +0.0 s  E2EXAMPLE  waiting",
        "  +1.0 s  E1EXAMPLE  being asked for",
        "  +2.0 s  E1EXAMPLE  in progress (IE1EXAMPLE)",
        "  +3.0 s  E1EXAMPLE  completed (IE1EXAMPLE)",
        "  +4.0 s  E2EXAMPLE  being asked for",
        "  +5.0 s  E2EXAMPLE  in progress (IE2EXAMPLE)",
        "  +6.0 s  E2EXAMPLE  completed (IE2EXAMPLE)",
    ]


def test_waiting_for_what_cloudfront_refuses_fails(world: World) -> None:
    """Its reason is CloudFront's."""

    def refuse() -> None:
        for name in ("E1EXAMPLE", "E2EXAMPLE"):
            world.table.waiting[name].clear()
            at = world.clock.wall()
            world.table.asides[name, "/img/b.png"] = Aside(name, "/img/b.png", "bad path", at, ())

    world.clock.steps = [refuse]
    failed = world.run("static", "img/b.png", "--yes", "--wait")
    assert failed.exit_code == 1
    assert "CloudFront refuses some of it for good: bad path" in failed.output


def test_waiting_does_not_last_for_ever(world: World) -> None:
    """Nor does its end take anything back."""
    failed = world.run("shop", "site/b.png", "--yes", "--wait")
    assert failed.exit_code == 1
    assert "It goes on without this command" in failed.output
    assert world.clock.wall() - world.table.messages[0][0] < timedelta(minutes=16)
    assert world.texts("E3EXAMPLE") == ["/b.png"]


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), TableError("throttled")])
def test_who_stops_waiting_takes_nothing_back(world: World, fault: BaseException) -> None:
    """It is said, and the status is a failure's."""

    def stop() -> None:
        raise fault

    world.clock.steps = [stop]
    failed = world.run("shop", "site/b.png", "--yes", "--wait")
    assert failed.exit_code == 1
    assert "It goes on without this command" in failed.output
    assert world.texts("E3EXAMPLE") == ["/b.png"]
