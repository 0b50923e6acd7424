"""The demo's second half: what a designer uploads, and when a visitor sees it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from functions.domain.path_prices import FREE_PATHS, fee_of
from lab.edge import matching
from lab.invalidated import Invalidated, invalidations
from lab.region import Region
from lab.screen import Screen
from lab.site import Change, Site, Visit, shows, target_of

EFFECT_S = 1.0
"""From a call to the drop at the edge, here. At AWS under 5 s (95th percentile)."""
_FRESH_WITHIN_S = 60.0
"""Whoever waits longer presses reload and gives up."""
_MOST_LINES = 12
_OLD, _NEW = b"old", b"new"

_HARD = (
    "brochure 2026.pdf",
    "a+b=c.png",
    "img (1).png",
    "資料/最終 版.psd",
    "runtime~main.js",
    "100%.png",
    "docs/index.html",
    "index.html",
)
"""Names that tools get wrong: each is one object."""

_GALLERY = tuple(f"gallery/{number:03}.jpg" for number in range(500))
_ALL = ("logo.png", *_HARD, *_GALLERY, "unchanged.png")
_ALSO_SHOWN_AT = {"docs/index.html": "/docs/", "index.html": "/"}
"""A folder's address shows its index."""


@dataclass(frozen=True, slots=True)
class Wave:
    """Changes made at once, and what became of each address that shows them."""

    shown: Mapping[str, Change]
    """The change that each address should show."""
    fresh: Mapping[str, float]
    """When a visitor saw it; without those that stayed stale."""
    made: tuple[Invalidated, ...]

    @property
    def stale(self) -> list[str]:
        """The addresses that still showed the old file when nobody waits any more."""
        return [target for target in self.shown if target not in self.fresh]

    @property
    def changes(self) -> int:
        """How many objects were changed."""
        return len({change.key for change in self.shown.values()})

    @property
    def paths(self) -> list[str]:
        """All paths that were sent."""
        return [path for one in self.made for path in one.paths]

    def until_fresh_s(self, target: str) -> float:
        """Return how long a visitor saw the old file."""
        return self.fresh[target] - self.shown[target].at

    def until_called_s(self, target: str) -> float | None:
        """Return how long it was until CloudFront was asked to clear an address; None if never."""
        calls = [
            one.created_at.timestamp()
            for one in self.made
            if any(_clears(path, target) for path in one.paths)
        ]
        return min(calls) - self.shown[target].at if calls else None

    def path_of(self, target: str) -> str:
        """Return a path that cleared an address."""
        return next((path for path in self.paths if _clears(path, target)), "none")


def _clears(path: str, target: str) -> bool:
    """Return whether a path means an address, as the edge sees it and not as the product does."""
    key = matching.cache_key(target, matching.Encodings.DOCUMENTED, query_strings=False)
    return matching.matches(path, key)


def fill(site: Site) -> None:
    """Put the first versions of all files into the bucket."""
    site.fill(dict.fromkeys(_ALL, _OLD))


def show(region: Region, site: Site, screen: Screen) -> bool:
    """Upload new versions, and show old -> new at the edge; return whether all became fresh."""
    region.edge.control(effect_s=EFFECT_S)
    screen.step(f"the site: a bucket of {len(_ALL)} objects, and CloudFront before it")
    if not _warm(site, screen):
        return False
    screen.facts(
        {
            "the edge": f"takes effect {EFFECT_S:g} s after a call, allows a call per 2 s, "
            "6 at once; keeps objects for a day",
        }
    )
    waves = [
        _wave(screen, site, "uploading logo.png", lambda: [site.upload("logo.png", _NEW)]),
        _wave(
            screen,
            site,
            f"uploading {len(_HARD)} files with hard names",
            lambda: site.upload_all(dict.fromkeys(_HARD, _NEW)),
        ),
        _wave(
            screen,
            site,
            f"uploading a folder of {len(_GALLERY)}",
            lambda: site.upload_all(dict.fromkeys(_GALLERY, _NEW)),
        ),
        _wave(screen, site, "deleting logo.png", lambda: [site.delete("logo.png")], gone=True),
    ]
    kept = site.visit("/unchanged.png").hit
    screen.facts({"unchanged.png": "still in the cache" if kept else "thrown away"})
    _sum(region, waves, screen)
    return not any(wave.stale for wave in waves)


def _warm(site: Site, screen: Screen) -> bool:
    """Visit every address twice; return whether the second answer is an old one of the cache."""
    targets = [*map(target_of, _ALL), *_ALSO_SHOWN_AT.values()]
    site.visit_all(targets)
    again = site.visit_all(targets)
    hits = sum(visit.hit and visit.body == _OLD for visit in again.values())
    screen.step(f"visitors fill the edge's cache: {hits} of {len(targets)} addresses come from it")
    return hits == len(targets)


def _wave(
    screen: Screen, site: Site, text: str, change: Callable[[], list[Change]], *, gone: bool = False
) -> Wave:
    """Change something, and follow it to the visitors."""
    screen.step(text)
    began = time.time()
    shown = _shown(change())
    good = _is_gone if gone else shows(_NEW)
    every_s = 0.02 if len(shown) <= _MOST_LINES else 0.5  # more visitors would keep a core busy
    fresh = site.wait_until(dict.fromkeys(shown, good), _FRESH_WITHIN_S, every_s=every_s)
    (distribution,) = site.distributions
    wave = Wave(shown, fresh, tuple(invalidations(site.region, distribution, since_s=began)))
    _tell(screen, wave, "gone" if gone else "new")
    return wave


def _shown(changes: list[Change]) -> dict[str, Change]:
    shown = {}
    for change in changes:
        shown[target_of(change.key)] = change
        if also := _ALSO_SHOWN_AT.get(change.key):
            shown[also] = change
    return shown


def _is_gone(visit: Visit) -> bool:
    return visit.status in {403, 404}


def _tell(screen: Screen, wave: Wave, after: str) -> None:
    if len(wave.shown) <= _MOST_LINES:
        screen.facts({target: _one(wave, target, after) for target in wave.shown})
    else:
        screen.facts(_many(wave, after))
    reasons = {path: why for one in wave.made for path, why in one.reasons.items()}
    if reasons:
        screen.facts(reasons)


def _one(wave: Wave, target: str, after: str) -> str:
    """Return what became of one address."""
    if target in wave.stale:
        return "STALE"
    called_s = wave.until_called_s(target)
    called = "" if called_s is None else f", CloudFront called after {called_s:.2f} s: "
    return f"old -> {after} after {wave.until_fresh_s(target):.2f} s{called}{wave.path_of(target)}"


def _many(wave: Wave, after: str) -> dict[str, object]:
    """Return what became of many addresses."""
    fresh = sorted(wave.until_fresh_s(target) for target in wave.fresh)
    began = min(change.at for change in wave.shown.values())
    called = [one.created_at.timestamp() - began for one in wave.made]
    calls = f"{len(called)}, at {min(called):.2f} to {max(called):.2f} s" if called else "none"
    exact = sum(not path.endswith("*") for path in wave.paths)
    range_ = (
        f", the first after {fresh[0]:.2f} s, the last after {fresh[-1]:.2f} s" if fresh else ""
    )
    return {
        "addresses": f"{len(fresh)} of {len(wave.shown)} old -> {after}{range_}",
        "calls": calls,
        "paths": f"{exact} exact ones, {len(wave.paths) - exact} wildcards",
    }


def _sum(region: Region, waves: list[Wave], screen: Screen) -> None:
    refused = region.edge.state()["refused"]
    paths = sum(len(wave.paths) for wave in waves)
    calls, changes = sum(len(wave.made) for wave in waves), sum(wave.changes for wave in waves)
    screen.facts(
        {
            "calls": f"{calls} for {changes} changes, of which CloudFront refused: "
            f"{refused or 'none'}",
            "paths": f"{paths}, of the 1000 that are free each month; "
            f"later ones would be {_dollars(fee_of(paths, FREE_PATHS).usd)}",
        }
    )
    stale = [target for wave in waves for target in wave.stale]
    first = " ".join(stale[:_MOST_LINES])
    screen.step(f"STALE: {len(stale)}: {first}" if stale else "EVERY VISITOR SEES THE NEW FILES")


def _dollars(amount: float) -> str:
    return f"{amount:.3f} USD"
