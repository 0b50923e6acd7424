"""What all tests share: who may run where."""

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

# Many streams on two cores: what is slow then is the machine, and no test is timed.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip by name and reason what this machine cannot run; never on CI."""
    if (sys.platform == "linux" and os.geteuid() == 0) or os.environ.get("CI"):
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root on Linux: loop devices, mounts"))
