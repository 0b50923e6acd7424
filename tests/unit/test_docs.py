"""The pages say what the code does."""

import re
from pathlib import Path

import pytest

from docs.generate import PAGES, generated
from lab.faults.catalogue import faults

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
