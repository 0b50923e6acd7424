"""What can be wrong before anything is deployed."""


class InfraError(Exception):
    """The stacks cannot be synthesized; each line of the text is one complete sentence."""
