"""The options that every command has: whose Holdstill it is."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import click

from cli.deployed import Connect


def on_deployed(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --profile and --region, and first of all what connects to what they find.

    It is for the command to connect: what was asked for wrongly is said without AWS.
    """

    @click.option("--profile", metavar="NAME", help="The AWS profile; else AWS_PROFILE decides.")
    @click.option(
        "--region", metavar="NAME", help="The AWS Region; else AWS_REGION or the profile decides."
    )
    @click.pass_obj
    @wraps(command)
    def connected(
        connect: Connect, /, *, profile: str | None, region: str | None, **values: Any
    ) -> None:
        command(partial(connect, profile, region), **values)

    return connected
