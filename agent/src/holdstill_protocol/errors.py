"""What can be wrong with a message; the sender is at fault, and nothing has been done."""


class ProtocolError(Exception):
    """A message cannot be accepted. `run_id` is the run it names, where that could be read."""

    def __init__(self, detail: str, *, run_id: str | None = None) -> None:
        super().__init__(detail)
        self.run_id = run_id


class MalformedMessageError(ProtocolError):
    """Not JSON, too long, or a field that version 1 needs is missing or of the wrong type."""


class UnsupportedVersionError(ProtocolError):
    """The message is of a protocol version that this side does not speak."""


class UnknownTypeError(ProtocolError):
    """Version 1, but a message type that this side does not know."""
