"""The demo's second half: what a designer uploads, and when a visitor sees it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab.invalidated import Invalidated, invalidations, usd
from lab.region import Region
from lab.screen import Screen
from lab.site import Change, Site, Visit, shows, target_of

EFFECT_S = 1.0
"""From a call to the drop at the edge, here. At AWS under 5 s (95th percentile)."""
_FRESH_WITHIN_S = 60.0
"""Whoever waits longer presses reload and gives up."""
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
"""Names that tools get wrong: each is one object, and the last is shown at `/` too."""

_GALLERY = tuple(f"gallery/{number:03}.jpg" for number in range(500))
_ALL = ("logo.png", *_HARD, *_GALLERY, "unchanged.png")
_ALSO_SHOWN_AT = {"index.html": "/"}
"""By the distribution's default root object. A bucket has no such thing for `/docs/`."""


@dataclass(frozen=True, slots=True)
class Wave:
    """Changes made at once, and what became of each address that shows them."""

    changes: tuple[Change, ...]
    wanted: Mapping[str, float]
    """When the change of each address was made."""
    fresh: Mapping[str, float]
    """When a visitor saw it; without those that stayed stale."""
    made: tuple[Invalidated, ...]

    @property
    def stale(self) -> list[str]:
        """The addresses that still showed the old file when nobody waits any more."""
        return [target for target in self.wanted if target not in self.fresh]

    @property
    def paths(self) -> list[str]:
        """All paths that were sent."""
        return [path for one in self.made for path in one.paths]

    def until_fresh_s(self, target: str) -> float:
        """Return how long a visitor saw the old file."""
        return self.fresh[target] - self.wanted[target]

    def until_called_s(self, key: str) -> float | None:
        """Return how long it was until the invalidation of a key was made; None if none was."""
        at = next(change.at for change in self.changes if change.key == key)
        calls = [one.created_at.timestamp() for one in self.made if key in one.keys]
        return min(calls) - at if calls else None


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
    changes = change()
    wanted = _addresses(changes)
    good = _is_gone if gone else shows(_NEW)
    fresh = site.wait_until(dict.fromkeys(wanted, good), _FRESH_WITHIN_S)
    (distribution,) = site.distributions
    made = invalidations(site.region, distribution, since_s=began)
    wave = Wave(tuple(changes), wanted, fresh, tuple(made))
    _tell(screen, wave, "gone" if gone else "new")
    return wave


def _addresses(changes: list[Change]) -> dict[str, float]:
    wanted = {}
    for change in changes:
        wanted[target_of(change.key)] = change.at
        if also := _ALSO_SHOWN_AT.get(change.key):
            wanted[also] = change.at
    return wanted


def _is_gone(visit: Visit) -> bool:
    return visit.status in {403, 404}


def _tell(screen: Screen, wave: Wave, after: str) -> None:
    if len(wave.wanted) <= len(_HARD) + len(_ALSO_SHOWN_AT):
        for target in wave.wanted:
            told = f"old -> {after} after {wave.until_fresh_s(target):.2f} s"
            screen.facts({target: "STALE" if target in wave.stale else told})
    else:
        times = sorted(wave.until_fresh_s(target) for target in wave.fresh)
        slowest = f"the first after {times[0]:.2f} s, the last after {times[-1]:.2f} s"
        told = f"{len(times)} of {len(wave.wanted)} old -> {after}"
        screen.facts({"fresh": f"{told}: {slowest}" if times else told})
    called = [
        took for change in wave.changes if (took := wave.until_called_s(change.key)) is not None
    ]
    if called:
        screen.facts({"called": f"{min(called):.2f} to {max(called):.2f} s after the upload"})
    paths = wave.paths
    exact = [path for path in paths if not path.endswith("*")]
    if len(exact) <= len(_HARD) + len(_ALSO_SHOWN_AT):
        screen.facts({"paths": " ".join(exact) or "no exact ones"})
    else:
        screen.facts({"paths": f"{len(exact)} exact ones"})
    for one in wave.made:
        for path, reason in one.reasons.items():
            screen.facts({path: reason})


def _sum(region: Region, waves: list[Wave], screen: Screen) -> None:
    state = region.edge.state()
    paths = sum(len(wave.paths) for wave in waves)
    each = sum(len(wave.wanted) for wave in waves)
    screen.facts(
        {
            "calls": f"{sum(len(wave.made) for wave in waves)} for "
            f"{sum(len(wave.changes) for wave in waves)} changes; "
            f"refused: {state['refused'] or 'none'}",
            "paths": f"{paths}, {_dollars(usd(paths))}; "
            f"one for each address: {each}, {_dollars(usd(each))}; "
            f"with no free ones left {_dollars(usd(paths, 1000))} against "
            f"{_dollars(usd(each, 1000))}",
        }
    )
    stale = [target for wave in waves for target in wave.stale]
    screen.step(f"STALE: {' '.join(stale)}" if stale else "EVERY VISITOR SEES THE NEW FILES")


def _dollars(amount: float) -> str:
    return f"{amount:.3f} USD"
