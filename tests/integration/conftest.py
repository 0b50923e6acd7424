"""One Region for all integration tests, and a look round when it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab import kernel
from lab.region import Region

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def running_region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    """Start the Region once; nothing of it may be left afterwards."""
    workdir = tmp_path_factory.mktemp("region")
    with Region(workdir) as region:
        yield region
    assert not kernel.mounts_of(workdir)
    assert not kernel.loops_of(workdir)


@pytest.fixture
def region(running_region: Region) -> Region:
    """Return the Region, its emulator empty, nothing injected; hosts of other tests stay."""
    running_region.reset()
    return running_region
