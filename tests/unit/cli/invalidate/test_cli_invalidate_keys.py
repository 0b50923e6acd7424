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
