"""What EC2 has of a run: a snapshot with its tags, and when its copy was made."""

from __future__ import annotations

from dataclasses import dataclass

from lab.host import Moment


@dataclass(frozen=True, slots=True)
class MadeSnapshot:
    """A snapshot that EC2 has for a run. `verdict` and `position` are its tags."""

    id: str
    volume_id: str
    verdict: str
    position: str | None
    copied: Moment
