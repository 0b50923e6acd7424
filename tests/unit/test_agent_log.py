"""The agent's log on a disk that is full."""

import errno
import io
import json

import pytest

from holdstill_agent.log import Log


class FullDisk(io.StringIO):
    """A stream whose disk has no room, which it says when it is written or when it is flushed."""

    full_at = ""

    def write(self, text: str) -> int:
        """Write if there is room."""
        self._require_room("write")
        return super().write(text)

    def flush(self) -> None:
        """Flush if there is room."""
        self._require_room("flush")

    def _require_room(self, at: str) -> None:
        if self.full_at == at:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("full_at", ["write", "flush"])
def test_a_log_that_cannot_be_written_costs_lines_only(full_at: str) -> None:
    """The loop flushes it: what that raised would end the agent each time it has begun."""
    stream = FullDisk()
    log = Log(stream)
    stream.full_at = full_at
    log.event("lost")
    log.flush()
    stream.full_at = ""
    log.event("written")
    log.flush()
    assert json.loads(stream.getvalue().splitlines()[-1])["event"] == "written"
