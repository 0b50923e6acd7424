"""Whether each of [[mounts]] is a filesystem of its own, and the one that is seen there.

What may be frozen the freezer decides, with the descriptor that it will freeze. Here is what holds
with freezing off too: the volumes are looked up by these paths.
"""

import os

from holdstill_agent.config import Config
from holdstill_agent.errors import CheckFailedError
from holdstill_agent.mountinfo import Mount, Mounts


def require_mounts(config: Config, mounted: Mounts) -> str:
    """Raise CheckFailedError for a path that is missing, hidden, not mounted, or mounted over."""
    seen = []
    for mount in config.mounts:
        at = mounted.at(mount.path)
        _require_seen(mount.path, mounted)
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


def require_same_mounts(config: Config, mounted: Mounts, devices: tuple[str, ...]) -> None:
    """Raise CheckFailedError unless a freezer that said these devices freezes what is seen here.

    It reads agent.toml anew for each run, the agent once: snapshots would be taken of a filesystem
    that is not frozen. A stand-in, which freezes nothing, says none, and takes what is no mount
    point.
    """
    seen = {mount.path: mounted.at(mount.path)[-1:] for mount in config.mounts}
    if not devices and not any(seen.values()):
        return
    if any(mounted.awaits_automount(path) or _hidden(path, mounted) for path in seen):
        return  # refused already by its own name; and the freezer has mounted the former by now
    if not devices:
        raise CheckFailedError(
            "it does not say what it would freeze: a freezer of an older release; install agent and"
            " freezer from one package, then restart the agent"
        )
    if devices != tuple(at[0].device if at else None for at in seen.values()):
        here = ", ".join(
            f"{path} ({at[0].device if at else 'no mount point'})" for path, at in seen.items()
        )
        raise CheckFailedError(
            f"it would freeze {', '.join(devices)}, this agent's mounts"
            f" are {here}: restart the agent, which reads agent.toml only then; if that does not"
            " help, agent and freezer do not see the same mounts"
        )


def _require_seen(path: str, mounted: Mounts) -> None:
    if mounted.awaits_automount(path):
        raise CheckFailedError(
            f"{path} is not mounted yet, only its automount point is there (x-systemd.automount):"
            f" look into it as root (ls {path}), or start the database that lies there"
        )
    if hidden := _hidden(path, mounted):
        over, lower = mounted.holding(path), hidden[-1]
        raise CheckFailedError(
            f"{path} is hidden: {over.source or over.kind} was mounted over {over.point} later; a"
            f" server that was started before still writes to {lower.source or lower.kind}, which"
            " is hidden; unmount one of them"
        )


def _hidden(path: str, mounted: Mounts) -> tuple[Mount, ...]:
    return () if mounted.at(path) else mounted.hidden_at(path)


def _no_mount_point(path: str, mounted: Mounts) -> str:
    if not os.path.lexists(path) and os.access(os.path.dirname(path), os.X_OK):  # noqa: PTH120
        return f"{path} does not exist: mount the database's volume there, or mend [[mounts]]"
    part_of = mounted.holding(path).point
    return (
        f"{path} is no mount point, it is part of {part_of}: mount the database's volume there,"
        f" or name {part_of} in [[mounts]]"
    )
