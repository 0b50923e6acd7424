"""What all tests share: who may run where."""

import os
import sys

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip by name and reason what this machine cannot run; never on CI."""
    if (sys.platform == "linux" and os.geteuid() == 0) or os.environ.get("CI"):
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root on Linux: loop devices, mounts"))
