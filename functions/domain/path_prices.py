"""What a path costs: the fee, the free ones, a site's cap, and what throwing objects away is worth.

CloudFront gives an account 1,000 paths a month and takes 0.005 USD for each further one; a
wildcard counts as one path, whatever it throws away.
"""

from dataclasses import dataclass
from typing import Final

FEE_USD: Final = 0.005
FREE_PATHS: Final = 1_000

EVICTION_USD: Final = FEE_USD / 50
"""What an unchanged object is worth in the cache: 50 of them are worth a path's fee.

Fetching it again is nearly free: an S3 GET is 0.0000004 USD, so even if ten regional caches ask
again that is 0.000004 USD. What counts is that the next visitor at each of them waits for the
bucket, a tenth of a second or more. A page is made of some 50 objects, so the rule reads: the fee
of one path is paid to keep one page warm, and is not paid to keep less. At 25 times what the GETs
cost it is the visitors who decide; and a folder goes as a whole where more than about one in 50 of
its objects has changed, which is a folder that was uploaded anew.
"""

WAITING_USD: Final = 20 * FEE_USD
"""What it is worth that a path need not wait for the next round.

There is room again when invalidations complete (25 s, the 95th percentile): a designer looks at
the old picture for half a minute more. To spare one that, up to 1,000 unchanged objects are thrown
away, and no more: a path too many never empties a large site.
"""

_ANY_WILDCARD: Final = 1_000_000
"""With the cap spent a path weighs this many evictions: more than anybody lists."""

_TIE_USD: Final = 1e-9
"""A free path is not quite free: of two equal choices that of fewer paths is taken."""

_A_DAY: Final = 1 / 30


@dataclass(frozen=True, slots=True)
class Prices:
    """USD of a path now, of an unchanged object thrown away, of a path that has to wait.

    `cap_spent`: the site's money of this month is gone; every wildcard that can be counted wins.
    """

    path_usd: float = FEE_USD
    eviction_usd: float = EVICTION_USD
    waiting_usd: float = WAITING_USD
    cap_spent: bool = False

    @property
    def weight_usd(self) -> float:
        """What a path weighs in a choice; its price with what no bill shows."""
        cap = _ANY_WILDCARD * self.eviction_usd if self.cap_spent else 0.0
        return self.path_usd + cap + _TIE_USD


def path_price(
    used_this_month: int,
    month_elapsed: float,
    free: int = FREE_PATHS,
    fee_usd: float = FEE_USD,
) -> float:
    """Return the USD of a path: nothing while the month's projected use stays free, else the fee.

    A path used now is one that is paid for later, so the fee begins when the projection passes
    the free paths and not when they are gone. `used_this_month` is the account's, with the paths
    that wait now: 10,000 uploads are not free because nothing was used before. `month_elapsed` is
    from 0 to 1; the first day counts as a whole one, or one path at midnight would project to
    millions.
    """
    projected = used_this_month / max(month_elapsed, _A_DAY)
    return fee_usd if projected > free else 0.0


def prices(
    *, used_this_month: int, month_elapsed: float, spent_usd: float, cap_usd: float | None
) -> Prices:
    """Return the prices for a site that has spent so much of its month's cap, if it has one.

    A cap of nothing is spent as soon as a path is no longer free.
    """
    none_is_free = used_this_month > FREE_PATHS
    return Prices(
        path_usd=path_price(used_this_month, month_elapsed),
        cap_spent=cap_usd is not None and none_is_free and spent_usd >= cap_usd,
    )


@dataclass(frozen=True, slots=True)
class Fee:
    """What so many paths more cost an account now, and how many free ones it has before them."""

    paths: int
    free_left: int
    usd: float


def fee_of(paths: int, used_this_month: int) -> Fee:
    """Return the fee of paths on top of those that the account has used in the month."""
    free_left = max(0, FREE_PATHS - used_this_month)
    return Fee(paths, free_left, FEE_USD * max(0, paths - free_left))
