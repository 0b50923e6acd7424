"""The whole of Holdstill on one stage, shared by the tests of this folder."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from lab import kernel
from lab.stage import Stage

_hours = count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what needs no stage first: the stage's load keeps one of two cores busy."""
    items.sort(key=lambda item: "stage" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return the deployed template, a database host under load, the shipped agent, and a site."""
    workdir = tmp_path_factory.mktemp("stage")
    with Stage(workdir, site=lambda _: None) as stage:
        # EC2's 15 s between two snapshots of a volume are tested with the conductor.
        stage.region.control_ec2(limits=False)
        yield stage
    assert kernel.mounts_of(workdir) == []
    assert kernel.loops_of(workdir) == []


@pytest.fixture
def scheduled_at() -> datetime:
    """Return a scheduled time that no other test uses."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=next(_hours))


@pytest.fixture(autouse=True)
def no_snapshots(request: pytest.FixtureRequest) -> Iterator[None]:
    """Delete what a test made: the next would wait until the last snapshot is 15 s old."""
    yield
    if "stage" in request.fixturenames:
        ec2 = request.getfixturevalue("stage").region.client("ec2")
        for snapshot in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
            ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Return a lab's folder."""
    return tmp_path / "lab"
