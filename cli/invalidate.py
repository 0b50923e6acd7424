"""`holdstill invalidate`: clear keys of a site by hand."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import click

from cli import following, hits
from cli.confirmation import confirm, need_somebody
from cli.deployed import Deployed
from cli.errors import MisuseError, NotSentError
from cli.options import on_deployed
from cli.screens import asking
from cli.screens.asking import Asking
from functions.domain.errors import HoldstillError
from functions.domain.hand_request import (
    HandRequest,
    HandRequestError,
    asked_at,
    further_rows,
    paths_sent,
    rows_by_hand,
)
from functions.domain.path_prices import fee_of
from functions.domain.site import Site


@click.command(short_help="Clear keys of a site by hand.")
@click.argument("site")
@click.argument("key", nargs=-1)
@click.option(
    "--prefix", metavar="P", multiple=True, help="All keys that begin with P. May be repeated."
)
@click.option("--all", "everything", is_flag=True, help="Everything: the path /*.")
@click.option("--dry-run", is_flag=True, help="Show what it would do, and do nothing.")
@click.option(
    "--wait",
    is_flag=True,
    help="Wait until CloudFront has completed it; not with --dry-run.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@on_deployed
def invalidate(
    connect: Callable[[], Deployed],
    /,
    *,
    site: str,
    key: tuple[str, ...],
    prefix: tuple[str, ...],
    everything: bool,
    dry_run: bool,
    wait: bool,
    yes: bool,
) -> None:
    """Clear KEYs of SITE from CloudFront's caches, as an upload of them would.

    A KEY is written as the bucket has it, with the origin path and without a slash before it. The
    addresses of index documents and of extra_paths are cleared too. It shows what it will do, with
    the cost, and asks before it does it. One KEY that cannot be cleared, and nothing is done.

    What is asked for waits in the table with the uploads, and is sent with them.
    """
    if dry_run and wait:
        raise MisuseError("--dry-run asks for nothing that --wait could wait for: leave one out.")
    request = _request(key, prefix, everything=everything)
    if not (yes or dry_run):
        need_somebody()
    deployed = connect()
    shown = _asking(deployed, deployed.site(site), request)
    asking.show(shown)
    if dry_run:
        asking.conclude(shown, would=True)
        return
    if not yes:
        confirm("Invalidate?")
        # what was invalidated while he thought about it is before he asked
        shown = replace(shown, rows=asked_at(shown.rows, _now(deployed)))
    try:
        _ask(deployed, shown)
        asking.conclude(shown, would=False)
    except KeyboardInterrupt as error:
        raise NotSentError(
            "Interrupted. Some of it may be asked for, and that is sent without this command: see "
            f"`holdstill invalidations {site}`. Asking once more does no harm."
        ) from error
    if wait:
        following.follow(deployed, shown.rows)


def _now(deployed: Deployed) -> datetime:
    """Return the time after an answer of AWS: the machine may have slept, and its clock with it."""
    deployed.account.used(deployed.clock.wall())
    return deployed.clock.wall()


def _request(keys: tuple[str, ...], prefixes: tuple[str, ...], *, everything: bool) -> HandRequest:
    if everything and (keys or prefixes):
        raise MisuseError("--all clears everything: name no KEY and no --prefix beside it.")
    if not (everything or keys or prefixes):
        raise MisuseError("Nothing to clear: name KEYs, --prefix P or --all.")
    return HandRequest(keys, prefixes, everything)


def _asking(deployed: Deployed, site: Site, request: HandRequest) -> Asking:
    now, caller = deployed.clock.wall(), deployed.caller()
    try:
        rows = rows_by_hand(site, request, now, caller)
    except HandRequestError as error:
        raise MisuseError("\n".join(("Nothing was done:", *error.faults))) from error
    below = hits.below(deployed.objects, site, request)
    rows += further_rows(site, rows, below.keys, now, caller)
    paths = len(paths_sent(rows)) * len(site.distributions)
    fee = fee_of(paths, sum(deployed.account.used(now).values()))
    hit = hits.hits(deployed.objects, site, request, rows)
    return Asking(site, rows, hit, fee, caller, below.missed)


def _ask(deployed: Deployed, asked: Asking) -> None:
    """Write the rows, then wake who clears them: a wake before the rows would find nothing."""
    try:
        deployed.uploads.ask(asked.rows)
    except HoldstillError as error:
        raise NotSentError(
            f"Some of it may be asked for, not all: ask once more. {error}"
        ) from error
    try:
        for distribution in asked.site.distributions:
            deployed.wakes.wake(distribution, 0, deployed.clock.wall())
    except HoldstillError as error:
        raise NotSentError(
            f"It is asked for, but could not be hurried: it is sent within a minute or two. {error}"
        ) from error
