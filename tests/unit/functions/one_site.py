"""A world with one site, and what became of its uploads."""

from functions.domain.sites import Sites
from tests.twins.upload_world import TwinUploadWorld, site

BUCKET = "shop-bucket"


def world_of(**changes: object) -> TwinUploadWorld:
    """Return a world with one site."""
    return TwinUploadWorld(Sites.of([site(**changes)]))  # type: ignore[arg-type]


def sent(world: TwinUploadWorld) -> list[tuple[str, ...]]:
    """Return the paths of each invalidation, the first one first."""
    return [one.batch.paths for one in world.cloudfront.made("E1")]


def reasons(world: TwinUploadWorld) -> dict[str, str]:
    """Return why each wildcard was sent."""
    found: dict[str, str] = {}
    for contents in world.table.contents.values():
        found |= contents.reasons
    return found
