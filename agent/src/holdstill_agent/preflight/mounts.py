"""Whether each of [[mounts]] is a filesystem of its own, and the one that is seen there.

What may be frozen the freezer decides, with the descriptor that it will freeze. Here is what holds
with freezing off too: the volumes are looked up by these paths.
"""

import os

from holdstill_agent.config import Config
from holdstill_agent.errors import CheckFailedError
from holdstill_agent.mountinfo import Mounts


def require_mounts(config: Config, mounted: Mounts) -> str:
    """Raise CheckFailedError for a path that is missing, mounted over, or no mount point."""
    seen = []
    for mount in config.mounts:
        at = mounted.at(mount.path)
        if len({one.device for one in at}) > 1:
            lower, upper = at[0], at[-1]
            raise CheckFailedError(
                f"{mount.path} is mounted twice, {upper.source or upper.kind} over"
                f" {lower.source or lower.kind}: a server that was started before still writes to"
                " the lower one; unmount one of them"
            )
        # A freezer's own refusal is more exact, and its stand-in takes what is no mount point.
        if not config.freeze and not at:
            raise CheckFailedError(_no_mount_point(mount.path, mounted))
        seen += [f"{mount.path} is {one.kind} on {one.source}" for one in at[-1:]]
    return ", ".join(seen) or "left to the freezer"


def _no_mount_point(path: str, mounted: Mounts) -> str:
    if not os.path.lexists(path) and os.access(os.path.dirname(path), os.X_OK):  # noqa: PTH120
        return f"{path} does not exist: mount the database's volume there, or mend [[mounts]]"
    part_of = mounted.holding(path).point
    return (
        f"{path} is no mount point, it is part of {part_of}: mount the database's volume there,"
        f" or name {part_of} in [[mounts]]"
    )
