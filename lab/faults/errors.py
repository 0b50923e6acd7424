"""What can go wrong with a trial itself; a fault whose promise is broken is a finding, no error."""

from lab.errors import LabError


class FaultError(LabError):
    """A trial could not be made."""


class MomentMissedError(FaultError):
    """The moment that a fault needs has passed, or did not come: the trial is made again."""


class NotHereError(FaultError):
    """This machine's kernel has not what the fault needs."""
