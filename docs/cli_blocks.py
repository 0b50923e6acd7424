"""What docs/cli.md takes from the code: the help of the command line, as click prints it."""

from collections.abc import Callable
from functools import partial

import click

from cli.app import main

_WIDTH = 96


def _help(*names: str) -> str:
    """Return the help of the command, or of the subcommand of that name."""
    context = click.Context(
        main,
        info_name="holdstill",
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        **main.context_settings,
    )
    for name in names:
        context = click.Context(main.commands[name], context, name)
    return f"```\n{context.get_help()}\n```\n"


BLOCKS: dict[str, Callable[[], str]] = {
    "holdstill": _help,
    **{name: partial(_help, name) for name in main.commands},
}
"""By name. A command without a block on the page makes the page's test fail."""
