"""The tags of a snapshot: all but the verdict are written with it and never changed."""

from typing import Final

from functions.domain import instants
from functions.domain.requests import BackupRequest
from functions.domain.verdict import Verdict
from holdstill_protocol.messages import Position

RUN_ID: Final = "holdstill:run-id"
TARGET: Final = "holdstill:target"
POSITION: Final = "holdstill:position"
VERDICT: Final = "holdstill:verdict"

_MAX_CHARACTERS: Final = 256
"""EC2's limit of a tag's value; a GTID set is longer, so it goes into the run's record."""


def at_creation(request: BackupRequest, run_id: str) -> dict[str, str]:
    """Return the tags that are known before the freeze."""
    return {
        RUN_ID: run_id,
        TARGET: request.target,
        VERDICT: Verdict.UNPROVEN,
        "Name": f"holdstill {request.target} {instants.text(request.scheduled_at)}",
    }


def position(where: Position | None) -> str | None:
    """Return the position tag's value, or None where the binary log is off or nothing is locked."""
    if where is None or where.file is None or where.offset is None:
        return None
    return f"{where.file}:{where.offset}"[:_MAX_CHARACTERS]
