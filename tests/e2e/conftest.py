"""The whole of Holdstill on one stage, shared by the tests of this folder."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from lab import kernel
from lab.stage import Stage

_hours = count()


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return the deployed template, a database host under load, and the shipped agent."""
    workdir = tmp_path_factory.mktemp("stage")
    with Stage(workdir) as stage:
        # EC2's 15 s between two snapshots of a volume are tested with the conductor.
        stage.region.control_ec2(limits=False)
        yield stage
    assert kernel.mounts_of(workdir) == []
    assert kernel.loops_of(workdir) == []


@pytest.fixture
def scheduled_at() -> datetime:
    """Return a scheduled time that no other test uses."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=next(_hours))


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Return a lab's folder."""
    return tmp_path / "lab"
