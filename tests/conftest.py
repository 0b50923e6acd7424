"""What all tests share: who may run where, and what may run side by side."""

import os
import sys
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent

_ON_THE_HOST = frozenset({"host", "faults", "systemd", "e2e"})
"""Folders whose tests freeze, kill and measure: one after the other, on one of the two cores."""

_SHARED = frozenset({"infra", "integration"})
"""Folders that build something once for all their tests: a core of its own each, too."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal the tests to the cores, and skip by name what this machine cannot run."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item.path)))
    # Never on CI: there a skipped test would look like one that passed.
    if (sys.platform == "linux" and os.geteuid() == 0) or os.environ.get("CI"):
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root on Linux: loop devices, mounts"))


def _group(path: Path) -> str:
    folder, *below = path.relative_to(_TESTS).parts
    if folder in _ON_THE_HOST:
        return "host"
    return folder if folder in _SHARED or not below else str(path)
