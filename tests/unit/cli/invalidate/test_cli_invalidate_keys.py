"""Which objects `holdstill invalidate` hits, and how it shows their keys."""

import pytest

from cli import hits
from tests.unit.cli.invalidate.commanded import World


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


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("https://x/a b.png", ": name it as the bucket has it, not by its address\n"),
        ("img/a%20b.png", ": did you mean img/a b.png, not encoded?\n"),
        ("*", ": for all that begins with it say --all\n"),
        ("資.png", "; what is cached of it is cleared\n"),
    ],
)
def test_an_address_is_no_key(world: World, key: str, said: str) -> None:
    """What would clear nothing is told from what was removed."""
    assert f"         {key} is no object now{said}" in world.run("static", key, "--yes").output


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("/img/", ": did you mean img/, without a slash before it?\n"),
        ("https://x/img/", ": name it as the bucket has it, not by its address\n"),
        ("gone/", "; what is cached of it is cleared\n"),
    ],
)
@pytest.mark.parametrize("listed", [2, 10_000])
def test_a_prefix_that_hits_nothing_may_be_mistyped(
    world: World, monkeypatch: pytest.MonkeyPatch, prefix: str, said: str, listed: int
) -> None:
    """Also beside others that hit so much that it was not listed; those are not told of."""
    monkeypatch.setattr(hits, "MOST_LISTED", listed)
    done = world.run("static", "--prefix", "i", "--prefix", prefix, "--prefix", "docs/*", "--yes")
    assert [line for line in done.output.splitlines(keepends=True) if " now" in line] == [
        f"         no object begins with {prefix} now{said}"
    ]


NOT_CLEARED = "other addresses of the files below a prefix (index documents, extra_paths) are "


def test_what_a_prefix_leaves_without_a_listing_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`/docs/` shows what `/docs/in*` clears, and nobody knows of it; the same beyond the cap."""
    world.listing.fault = "AccessDenied"
    done = world.run("static", "--prefix", "docs/in", "--dry-run")
    assert f"{NOT_CLEARED}not cleared: the bucket could not be listed\n" in done.output
    world.listing.fault = ""
    monkeypatch.setattr(hits, "MOST_LISTED", 1)
    done = world.run("static", "--prefix", "i", "--dry-run")
    assert f"{NOT_CLEARED}cleared of the first 1 files only\n" in done.output
    assert NOT_CLEARED not in world.run("static", "--prefix", "docs/in", "--dry-run").output


def test_nothing_is_said_of_addresses_that_there_are_not(world: World) -> None:
    """The shop has neither index documents nor rules; and a KEY's addresses are known."""
    world.listing.fault = "AccessDenied"
    assert NOT_CLEARED not in world.run("shop", "--prefix", "site/i", "--dry-run").output
    assert NOT_CLEARED not in world.run("static", "docs/index.html", "--dry-run").output


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
