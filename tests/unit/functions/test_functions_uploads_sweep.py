"""A sweep says that it looked at every distribution, and only then."""

from collections.abc import Collection
from contextlib import nullcontext

import pytest

from functions.domain.errors import TableError
from functions.domain.sites import Sites
from functions.domain.waiting import Waiting
from functions.uploads_sweeping import UploadsSweep
from tests.twins.upload_world import TwinUploadWorld, site
from tests.twins.uploads import TwinUploads


@pytest.mark.parametrize(("broken", "told"), [([], 1), (["E1"], 0), (["E1", "E2"], 0)])
def test_a_sweep_that_left_one_out_does_not_count(
    monkeypatch: pytest.MonkeyPatch, broken: Collection[str], told: int
) -> None:
    """Or its silence would not be heard while one distribution is never looked at."""
    world = TwinUploadWorld(Sites.of([site(distributions=("E1", "E2"))]))
    oldest = TwinUploads.oldest

    def ill(uploads: TwinUploads, distribution: str) -> Waiting | None:
        if distribution in broken:
            raise TableError("ill")
        return oldest(uploads, distribution)

    monkeypatch.setattr(TwinUploads, "oldest", ill)
    with pytest.raises(TableError) if broken else nullcontext():
        UploadsSweep(world.world, world.sites).sweep()
    assert world.log.names.count("uploads-swept") == told
