"""The pages say what the code does."""

import re
from pathlib import Path

import pytest

from docs.generate import PAGES, generated
from lab.faults.catalogue import faults

ROOT = Path(__file__).parents[2]
READ = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "agent" / "README.md"])
"""Every page that somebody is meant to read."""

SAFETY = next(page for page in PAGES if page.name == "safety.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_generated_blocks_are_current(page: Path) -> None:
    """Run `make docs` after a change of the machines, the messages or the faults."""
    text = page.read_text(encoding="utf-8")
    assert generated(page) == text
    assert all(f"<!-- generated: {name} -->" in text for name in PAGES[page])


def test_each_promise_is_shown_by_faults_that_exist() -> None:
    """A promise of docs/safety.md names its fault tests in full; none of them is gone."""
    promises, _, _ = SAFETY.read_text(encoding="utf-8").partition("<!-- generated")
    rows = re.findall(r"^\| [A-Z].*\|(.*)\|$", promises, re.MULTILINE)
    assert len(rows) > 20
    known = {fault.name for fault in faults()}
    for row in rows:
        named = set(re.findall(r"`([a-z0-9-]+)`", row))
        assert named or "tests/" in row, row
        assert named <= known, named - known


@pytest.mark.parametrize("page", READ, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_file_that_a_page_names_exists(page: Path) -> None:
    """A link or a module that is gone sends its reader nowhere."""
    text = page.read_text(encoding="utf-8")
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^):\s]+)\)", text)} - {""}
    assert {link for link in links if not (page.parent / link).exists()} == set()
    folders = "agent|cli|docs|functions|infra|lab|scripts|tests"
    named = set(re.findall(rf"`((?:{folders})/[\w./-]+)`", text))
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_each_promise_about_uploads_is_shown_by_tests() -> None:
    """A promise without a test is a wish."""
    text = (ROOT / "docs" / "uploads.md").read_text(encoding="utf-8")
    _, _, promises = text.partition("## What is promised")
    promises, _, _ = promises.partition("\n## ")
    rows = re.findall(r"^\| [A-Z].*\|(.*)\|$", promises, re.MULTILINE)
    assert len(rows) > 10
    assert [row for row in rows if "`tests/" not in row] == []
