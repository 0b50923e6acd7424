"""JSON lines on standard error: an event's name and its fields.

Lines are kept until `flush`, and the loop flushes only while nothing is held: standard error may
lead to a file on the very filesystem that is frozen, and a write there would wait for its thaw.
"""

import json
import sys
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

_KEPT_LINES = 1000


class Log:
    """The agent's log. `event` may be called from any thread."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)

    def event(self, name: str, **fields: object) -> None:
        """Note an event; never a secret, never a message's whole body."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._lines.append(json.dumps({"at": at, "event": name, **fields}, default=str))

    def flush(self) -> None:
        """Write what was noted. A full disk, or nobody who reads, costs lines, not the agent."""
        while self._lines:
            line = self._lines.popleft() + "\n"
            with suppress(OSError):
                self._stream.write(line)
        with suppress(OSError):
            self._stream.flush()
