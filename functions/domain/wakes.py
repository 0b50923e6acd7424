"""What makes the `invalidate` function look at distributions: a wake, or the schedule's sweep."""

import json
from collections.abc import Mapping
from typing import Final

from holdstill_protocol.errors import MalformedMessageError
from holdstill_protocol.fields import Fields

SWEEP: Final = "uploads"


def is_sweep(event: Mapping[str, object]) -> bool:
    """Return whether the event is the schedule's."""
    return event.get("v") == 1 and event.get("sweep") == SWEEP


def distribution_of(body: str) -> str:
    """Return the distribution that a wake names. Raise MalformedMessageError."""
    try:
        wake = json.loads(body)
    except ValueError as error:
        raise MalformedMessageError("a wake must be JSON") from error
    if not isinstance(wake, dict) or wake.get("v") != 1:
        raise MalformedMessageError("a wake must be an object of version 1")
    return Fields(wake).text("distribution")
