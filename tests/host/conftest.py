"""Disks in a temporary directory, a database host on one of them, and a look round afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab import backing, kernel
from lab.ec2.disks import ImageDisks
from lab.host import DatabaseHost

if TYPE_CHECKING:
    from collections.abc import Iterator


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
