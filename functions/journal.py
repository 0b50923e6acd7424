"""What an attempt has to tell, kept until there is time to write it."""

from typing import Final

from functions.ports import Clock, Log
from holdstill_protocol.errors import ProtocolError, UnknownTypeError, UnsupportedVersionError
from holdstill_protocol.messages import Frozen, Prepared, Refused, Reply, Thawed

_REPLY_FIELDS: Final[dict[type[Reply], tuple[str, ...]]] = {
    Prepared: ("volumes", "lock", "freeze", "budget_ms"),
    Frozen: ("lock_wait_ms", "freeze_ms"),
    Thawed: ("reason", "intact", "held_ms", "locked_ms"),
    Refused: ("code", "detail"),
}


class Journal:
    """Notes of one attempt. A note costs microseconds, a line of log a system call.

    `after_ms` tells when the noted thing happened, in milliseconds since the attempt began.
    """

    def __init__(self, log: Log, clock: Clock, run_id: str) -> None:
        self._log = log
        self._clock = clock
        self._run_id = run_id
        self._began_ns = clock.now_ns()
        self._notes: list[tuple[str, dict[str, object]]] = []

    def note(self, event: str, **fields: object) -> None:
        """Keep an event for the log."""
        after_ms = (self._clock.now_ns() - self._began_ns) // 1_000_000
        self._notes.append((event, {"run_id": self._run_id, "after_ms": after_ms, **fields}))

    def note_reply(self, reply: Reply) -> None:
        """Keep a reply of this run."""
        kind = type(reply)
        self.note(
            kind.__name__.lower(), **{name: getattr(reply, name) for name in _REPLY_FIELDS[kind]}
        )

    def note_undecodable(self, error: ProtocolError) -> None:
        """Keep a reply that this side cannot read, by the name of what is wrong with it."""
        match error:
            case UnsupportedVersionError():
                event = "reply-of-unsupported-version"
            case UnknownTypeError():
                event = "reply-of-unknown-type"
            case _:
                event = "reply-malformed"
        self.note(event, detail=str(error), of_run=error.run_id)

    def write(self) -> None:
        """Log what was kept, in order."""
        for event, fields in self._notes:
            self._log.event(event, **fields)
        self._notes.clear()
