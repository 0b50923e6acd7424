"""The options that every command has: whose Holdstill it is."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from cli.deployed import Connect


def on_deployed(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --profile and --region, and the `Deployed` that they find, first of all."""

    @click.option("--profile", metavar="NAME", help="The AWS profile; else AWS_PROFILE decides.")
    @click.option(
        "--region", metavar="NAME", help="The AWS Region; else AWS_REGION or the profile decides."
    )
    @click.pass_obj
    @wraps(command)
    def connected(
        connect: Connect, /, *, profile: str | None, region: str | None, **values: Any
    ) -> None:
        command(connect(profile, region), **values)

    return connected
