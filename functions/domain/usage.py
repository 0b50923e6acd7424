"""What a month's invalidations have cost each site so far."""

import calendar
from collections.abc import Mapping
from datetime import UTC, datetime

from functions.domain.path_prices import FEE_USD, FREE_PATHS


def month_elapsed(now: datetime) -> float:
    """Return how much of the month (UTC) is over, from 0 to 1."""
    utc = now.astimezone(UTC)
    begun = utc.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    _, days = calendar.monthrange(utc.year, utc.month)
    return (utc - begun).total_seconds() / (days * 86_400)


def spent_usd(site: str, used: Mapping[str, int]) -> float:
    """Return a site's share of the account's fee; `used`: the paths of each site this month.

    The free paths are the account's: each site has had as much of them as it has of all paths.
    """
    total = sum(used.values())
    if total <= FREE_PATHS:
        return 0.0
    return FEE_USD * (total - FREE_PATHS) * used.get(site, 0) / total
