"""What can go wrong in the lab itself."""


class LabError(Exception):
    """Base of the lab's errors; the text says what to do about it."""


class LabInUseError(LabError):
    """Another lab holds this folder."""


class ChildFailedError(LabError):
    """A program of the lab did not start, or ended with an error; its log's end is in the text."""


class DeployError(LabError):
    """The CDK command line failed; its log's end is in the text."""
