"""Where it is shown. Made anew each time: it must be the standard output of now."""

from rich.console import Console


def output() -> Console:
    """Return standard output; text is never taken for markup, and no line is broken."""
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
