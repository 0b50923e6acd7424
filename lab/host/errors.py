"""What can go wrong on the lab's database host."""

from lab.errors import LabError


class HostError(LabError):
    """The lab's database host could not be built, used or taken down."""


class ProgramError(HostError):
    """A program ended with an error; the text carries what it said."""


class ChildError(HostError):
    """A process of the host did not start, or does not end."""


class MountError(HostError):
    """A filesystem cannot be mounted or unmounted."""


class ServerError(HostError):
    """A database server did not become ready; the text carries the tail of its log."""


class MySqlUnavailableError(HostError):
    """MySQL is not on this machine and cannot be downloaded; the text says what it takes."""
