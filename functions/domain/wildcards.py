"""Wildcards: what one covers, and how long a wait makes one without any weighing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

FOLDER_AFTER_S: Final = 600
EVERYTHING_AFTER_S: Final = 1_200
"""An upload that waits so long is stuck behind limits or refusals: more than it is cleared."""

EVERYTHING: Final = "/*"


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A path that ends in `*`, and in a sentence why it is sent.

    `evicted`: unchanged live objects that it throws away; None for many, or where nobody counted.
    """

    path: str
    reason: str
    evicted: int | None = None


def is_wildcard(path: str) -> bool:
    """Return whether CloudFront takes the path for a wildcard: a `*` counts only at the end."""
    return path.endswith("*")


def covers(wildcard: str, path: str) -> bool:
    """Return whether everything that `path` clears, the wildcard clears too."""
    return path.startswith(wildcard[:-1])


def folder_of(path: str) -> str:
    """Return the path's folder with its slash: `/a/` of `/a/b.png`, of `/a/` and of `/a/b*`.

    Only slashes count: `/a//b.png` is in `/a//`, as a key is not a path that may be cleaned.
    """
    return path[: path.rindex("/") + 1]


def escalate(path: str, waited_s: float) -> Wildcard | None:
    """Return the wildcard to which a path's wait entitles it, or None while it may wait."""
    waited = f"{path} has waited {waited_s / 60:.0f} min"
    if waited_s > EVERYTHING_AFTER_S:
        limit = EVERYTHING_AFTER_S // 60
        return Wildcard(EVERYTHING, f"{waited}, over {limit} min: everything is cleared")
    if waited_s > FOLDER_AFTER_S:
        limit = FOLDER_AFTER_S // 60
        return Wildcard(f"{folder_of(path)}*", f"{waited}, over {limit} min: its folder is cleared")
    return None


def escalations(waiting: Mapping[str, datetime], now: datetime) -> tuple[Wildcard, ...]:
    """Return the wildcards of all that has waited too long: each once, the longest wait first.

    `waiting` maps each path to when the oldest of its uploads was made. Some may cover others.
    """
    found: dict[str, Wildcard] = {}
    ages = sorted(((now - at).total_seconds(), path) for path, at in waiting.items())
    for waited_s, path in reversed(ages):
        wildcard = escalate(path, waited_s)
        if wildcard is None:
            break
        found.setdefault(wildcard.path, wildcard)
    return tuple(found.values())
