"""A yes or a no, from somebody at a terminal."""

import sys

import click

from cli.errors import MisuseError


def need_somebody() -> None:
    """Raise MisuseError where nobody can be asked."""
    if not is_somebody_there():
        raise MisuseError("There is no terminal to ask at: say --yes, or --dry-run to look only.")


def confirm(question: str) -> None:
    """Ask; a no ends the command with status 1."""
    click.confirm(question, abort=True, err=True)


def is_somebody_there() -> bool:
    """Return whether standard input is a terminal."""
    return sys.stdin.isatty()
