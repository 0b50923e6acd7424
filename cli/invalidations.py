"""`holdstill invalidations`: the history, and what waits now."""

from collections.abc import Callable

import click

from cli.deployed import Deployed
from cli.history import history
from cli.options import on_deployed
from cli.screens import history as screen
from cli.screens import history_json


@click.command(short_help="Show what was invalidated, and what waits.")
@click.argument("site", required=False)
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="The N newest.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document, with every path and key.")
@on_deployed
def invalidations(
    connect: Callable[[], Deployed], /, *, site: str | None, limit: int, as_json: bool
) -> None:
    """Show the invalidations of SITE, or of all sites: the newest first.

    Of each: its state and age, the paths with the reasons of its wildcards, the keys behind it, who
    or what asked, and when it was uploaded, requested and completed. Then what waits now, and the
    paths that CloudFront refused and that were set aside.
    """
    deployed = connect()
    chosen = deployed.site(site).distributions if site else deployed.sites.distributions
    found = history(deployed.uploads, deployed.batches, chosen, site, limit)
    if as_json:
        click.echo(history_json.document(found))
    else:
        screen.show(found, deployed.clock.wall())
