"""From the rows that wait to the paths that are sent for them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from functions.domain.claims import matched
from functions.domain.coalescing import Coalescing, Plan, Uncounted
from functions.domain.errors import BucketError
from functions.domain.invalidation_limits import Room
from functions.domain.invalidation_record import Contents
from functions.domain.path_encoding import NoSuchKeyPathError, decode, encode
from functions.domain.path_prices import Prices, prices
from functions.domain.sites import Sites
from functions.domain.usage import month_elapsed, spent_usd
from functions.domain.waiting import Waiting
from functions.domain.wildcards import escalations, is_wildcard
from functions.upload_ports import UploadWorld

MOST_ROUNDS: Final = 12
MOST_LISTED: Final = 50_000
"""Keys of a folder that are read, the changed ones among them: 50 pages of a bucket's list."""

LONGEST_LISTING_S: Final = 8.0
"""For all folders of a turn: a listed page takes some 0.1 s, and the designer waits for it."""

BAD_WAITS_S: Final = 60.0
"""For how long paths that were refused before leave the calls to all others."""

_LOOK_AT_CLOCK_EVERY: Final = 1_000


@dataclass(frozen=True, slots=True)
class Planned:
    """What to send now, None for nothing, and how many paths have to wait for room."""

    contents: Contents | None
    left: int


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """Plans for one distribution."""

    world: UploadWorld
    sites: Sites
    distribution: str

    def of(self, rows: Sequence[Waiting], room: Room, *, refused: bool) -> Planned:
        """Return what to send for the rows, the oldest first, with so much room. Raise TableError.

        `refused`: the last call was in vain. Only behind that, or behind a lack of room, does a
        long wait escalate: an event that comes late, perhaps from the dead letters of a week, has
        its exact path sent at once, which is all that it needs.
        A path that CloudFront refused for good is not chosen for others again: what it would have
        covered is sent by other paths. What waits for such a path itself goes in a batch of its
        own, that spoils no other: when nothing else waits, or when it has waited long enough.
        """
        now = self.world.clock.wall()
        bad = {one.path for one in self.world.batches.aside(self.distribution)}
        waiting = _since(_together(rows, bad, room, now))
        wildcards = sum(map(is_wildcard, waiting))
        lacks_room = wildcards > room.wildcards or len(waiting) - wildcards > room.exact
        stuck = refused or lacks_room
        escalated = [one for one in escalations(waiting, now) if stuck and one.path not in bad]
        coalescing = Coalescing(
            waiting,
            self._prices(rows, len(waiting), now),
            room,
            escalated,
            reasons={row.path.text: row.path.reason for row in rows if row.path.is_wildcard},
        )
        plan = self._counted(coalescing, waiting.keys(), bad)
        if not plan.paths:
            return Planned(None, len(plan.left))
        reasons = {wildcard.path: wildcard.reason for wildcard in plan.wildcards}
        return Planned(Contents(plan.paths, matched(rows, plan.paths), reasons), len(plan.left))

    def _prices(self, rows: Sequence[Waiting], paths: int, now: datetime) -> Prices:
        """Return the prices; with the cap of one of the sites spent, they are those of all."""
        used = self.world.account.used(now)
        total, elapsed = sum(used.values()) + paths, month_elapsed(now)
        found = Prices()
        for name in dict.fromkeys(row.site for row in rows):
            site = self.sites.by_name.get(name)
            found = prices(
                used_this_month=total,
                month_elapsed=elapsed,
                spent_usd=spent_usd(name, used),
                cap_usd=site.monthly_cap_usd if site else None,
            )
            if found.cap_spent:
                return found
        return found

    def _counted(self, coalescing: Coalescing, changed: Collection[str], bad: set[str]) -> Plan:
        """Count what may decide, within bounds: what is not counted is many."""
        counts: dict[str, int | None] = {path[:-1]: None for path in bad if is_wildcard(path)}
        until_ns = self.world.clock.now_ns() + round(LONGEST_LISTING_S * 1e9)
        for _ in range(MOST_ROUNDS):
            wanted = coalescing.uncounted(counts)
            if not wanted or self.world.clock.now_ns() > until_ns:
                break
            for folder in wanted:
                counts[folder.folder] = self._unchanged(folder, changed, until_ns)
        return coalescing.plan(counts)

    def _unchanged(self, wanted: Uncounted, changed: Collection[str], until_ns: int) -> int | None:
        """Return how many live objects of a folder have not changed, of all sites that it shows."""
        try:
            below = decode(wanted.folder)
        except NoSuchKeyPathError:  # only extra paths are there, of objects that are elsewhere
            return None
        places = dict.fromkeys(
            (site.bucket, f"{site.origin_path}/".lstrip("/"))
            for site in self.sites.of_distribution(self.distribution)
        )
        listed, unchanged = 0, 0
        try:
            for bucket, origin in places:
                for key in self.world.objects.keys(bucket, origin + below):
                    listed += 1
                    unchanged += encode(key[len(origin) :]) not in changed
                    if unchanged > wanted.enough or listed > MOST_LISTED:
                        return None
                    if not listed % _LOOK_AT_CLOCK_EVERY and self.world.clock.now_ns() > until_ns:
                        return None
        except BucketError as error:
            self.world.log.fault("folder-not-counted", folder=wanted.folder, detail=str(error))
            return None
        return unchanged


def _together(
    rows: Sequence[Waiting], bad: Collection[str], room: Room, now: datetime
) -> Sequence[Waiting]:
    """Return the rows to plan for: those of paths known as bad, or all the others."""
    known = [row for row in rows if row.path.text in bad]
    if len(known) in {0, len(rows)}:
        return rows
    waited_s = max((now - row.change.at).total_seconds() for row in known)
    fits = any(room.wildcards if row.path.is_wildcard else room.exact for row in known)
    if fits and waited_s > BAD_WAITS_S:
        return known
    return [row for row in rows if row.path.text not in bad]


def _since(rows: Iterable[Waiting]) -> dict[str, datetime]:
    """Return for each path when the oldest of its uploads was made."""
    since: dict[str, datetime] = {}
    for row in rows:
        at = since.setdefault(row.path.text, row.change.at)
        since[row.path.text] = min(at, row.change.at)
    return since
