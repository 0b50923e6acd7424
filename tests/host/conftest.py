"""Disks in a temporary directory, database hosts on them, queues, and a look round afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config as ClientConfig

from lab import backing, emulator, kernel
from lab.ec2.disks import ImageDisks
from lab.host import DatabaseHost
from tests.host.freezing import filesystem, watchdog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.emulator import Emulator

VOLUME = "vol-0123456789abcdef0"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder that can clone files at once; afterwards nothing of it may be left."""
    workdir = tmp_path_factory.mktemp("lab")
    folder = workdir / "disks"
    try:
        backing.prepare(folder)
        yield folder
        left = [point for point in kernel.mounts_of(workdir) if point != folder]
    finally:
        stuck = kernel.release(workdir)
    assert not left, f"the tests left mounts: {left}"
    assert not stuck


@pytest.fixture(scope="module")
def disks(store: Path) -> ImageDisks:
    """Return the lab's own volumes and snapshots: images, loop devices, reflinks."""
    return ImageDisks(store)


@pytest.fixture(scope="module")
def host(disks: ImageDisks) -> Iterator[DatabaseHost]:
    """Return a real MariaDB on `vol-database`, under load."""
    with DatabaseHost([Path(disks.attach("vol-database", 1))]) as host:
        host.start_load()
        host.start_probes()
        yield host


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Return a running emulator."""
    region = emulator.start(tmp_path_factory.mktemp("region"), "http://127.0.0.1:1")
    try:
        region.wait()
        yield region
    finally:
        region.child.stop()


@pytest.fixture(scope="module")
def quiet_host(disks: ImageDisks) -> Iterator[DatabaseHost]:
    """Return a real MariaDB on real XFS, without a load."""
    with DatabaseHost([Path(disks.attach(VOLUME, 1))]) as host:
        yield host


@pytest.fixture(scope="module")
def sqs(region: Emulator, quiet_host: DatabaseHost) -> tuple[Any, dict[str, str]]:
    """Return an SQS client, and the environment to reach it."""
    environ = {
        "AWS_ENDPOINT_URL": region.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": emulator.REGION,
    }
    client = boto3.client(
        "sqs",
        endpoint_url=region.url,
        region_name=emulator.REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the emulator's
        config=ClientConfig(retries={"total_max_attempts": 1}),
    )
    with quiet_host.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS test_held")
    return client, environ


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Return two filesystems of a module's own."""
    folder = tmp_path_factory.mktemp("points")
    with filesystem(folder / "one") as one, filesystem(folder / "two") as two:
        yield one, two


@pytest.fixture
def point(points: tuple[Path, Path]) -> Iterator[Path]:
    """Return the first filesystem, never frozen for longer than 20 s."""
    with watchdog(*points):
        yield points[0]
