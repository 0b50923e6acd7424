"""The command and its subcommands."""

from typing import Any

import click

from cli import aws
from cli.errors import CommandFailedError
from cli.invalidate import invalidate
from cli.invalidations import invalidations
from cli.screens.console import never_refuse
from functions.domain.errors import HoldstillError


class Commands(click.Group):
    """Subcommands whose failures are sentences and an exit status, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke a subcommand. Raise ClickException."""
        try:
            return super().invoke(ctx)
        except HoldstillError as error:
            raise CommandFailedError(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(context: click.Context) -> None:
    """Hold still for the picture.

    Works on the Holdstill that is deployed in the account and Region of your AWS credentials.

    Exit status: 0 done, 1 it failed, 2 it was asked for wrongly and nothing was done.
    """
    never_refuse()
    context.obj = context.obj or aws.connect


main.add_command(invalidate)
main.add_command(invalidations)
