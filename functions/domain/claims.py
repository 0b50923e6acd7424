"""Which rows a batch speaks for: those it has claimed, has cleared, or would clear."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from functions.domain.coverage import Invalidation, covers
from functions.domain.invalidation_record import Contents
from functions.domain.paths import Path
from functions.domain.waiting import Waiting


def unclaimed(rows: Iterable[Waiting], batches: Iterable[Contents]) -> tuple[Waiting, ...]:
    """Return the rows that wait for none of these batches.

    `batches` are those that are neither settled nor refused: while the outcome of one is unknown
    its rows are nobody else's, or they would be cleared and paid for twice.
    """
    claimed = {row.row_id for batch in batches for row in batch.causes}
    if not claimed:
        return tuple(rows)
    return tuple(row for row in rows if row.row_id not in claimed)


def covered(rows: Iterable[Waiting], made: Sequence[Invalidation]) -> tuple[Waiting, ...]:
    """Return the rows that one of the distribution's invalidations has cleared already."""
    return tuple(row for row in rows if any(covers(one, row.path, row.change) for one in made))


def matched(rows: Iterable[Waiting], paths: Iterable[str]) -> tuple[Waiting, ...]:
    """Return the rows that are cleared when these paths are."""
    sent = Invalidation.of(map(Path, paths), None)
    return tuple(row for row in rows if sent.matches(row.path))


def divided(contents: Contents, parts: Sequence[Sequence[str]]) -> tuple[Contents, ...]:
    """Return the contents of the parts into which a batch's paths were divided.

    A cause goes with the first part that clears it, and with no other.
    """
    divided = []
    left: Collection[Waiting] = contents.causes
    for part in parts:
        causes = matched(left, part)
        taken = frozenset(row.row_id for row in causes)
        left = [row for row in left if row.row_id not in taken]
        reasons = {path: contents.reasons[path] for path in part if path in contents.reasons}
        divided.append(Contents(tuple(part), causes, reasons))
    return tuple(divided)


def paths_by_site(contents: Contents) -> Mapping[str, int]:
    """Return how many of a batch's paths each site has used: a path is that of its oldest cause."""
    wildcards = [path for path in contents.paths if path.endswith("*")]
    site_of: dict[str, str] = {}
    for row in contents.causes:
        site_of.setdefault(row.path.text, row.site)
        for wildcard in wildcards:
            if wildcard not in site_of and Path(wildcard).matches(row.path):
                site_of[wildcard] = row.site
    return Counter(site_of[path] for path in contents.paths if path in site_of)
