"""Where it is shown. Made anew each time: it must be the standard output of now."""

import io
import sys

from rich.console import Console


def output() -> Console:
    """Return standard output; text is never taken for markup, and no line is broken."""
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def never_refuse() -> None:
    r"""Let standard output show as `\u8cc7` what it cannot encode: any key may be in any writing.

    Standard error does so by itself.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
