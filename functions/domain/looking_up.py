"""Which of a distribution's invalidations may be one that was asked for and never answered."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Final

from functions.domain.batch import LookUp

LOOKED_AT_ONCE: Final = 4
"""Each is got by a call, and one call lists them: five, claimed as one. Throttling was seen at six
to seven in a row, and nobody knows whether reads count."""

MOST_LOOKED_AT: Final = 100
"""In all. Should it be another one, its paths are cleared once more: that costs a fee, and leaves
nothing stale."""

_CLOCKS_APART: Final = timedelta(seconds=60)
"""CloudFront's clock and ours, at the most."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What ListInvalidations tells of an invalidation: neither its reference nor its paths."""

    invalidation_id: str
    created_at: datetime


def to_look_at(listed: Iterable[Listed], wanted: LookUp) -> tuple[list[Listed], bool]:
    """Return those to look at now, and whether there are more for later.

    `listed`: the newest first; what is too old is not read. Those made nearest to the first call
    come first. What is made while it is looked for is farther from it than what was looked at, or
    was not to be found then: so none that may be it is ever passed over.
    """
    since = wanted.since
    if since is None:
        possible = list(islice(listed, MOST_LOOKED_AT))
    else:
        oldest_at = since - _CLOCKS_APART
        new = takewhile(lambda one: one.created_at >= oldest_at, listed)
        possible = sorted(new, key=lambda one: abs(one.created_at - since))
    end = wanted.looked + LOOKED_AT_ONCE
    possible = possible[:MOST_LOOKED_AT]
    return possible[wanted.looked : end], len(possible) > end
