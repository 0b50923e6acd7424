"""What the probe would make, change and cost, said before it does anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from functions.domain.path_prices import FEE_USD, FREE_PATHS
from lab.live_probe import calls
from lab.live_probe.catalogue import TRIALS
from lab.live_probe.place import Place

GROUPS: Final = {
    "clearing": "which spellings and wildcards clear which addresses",
    "root": "whether / and the default root object clear one another",
    "references": "what a repeated or reused caller reference gets",
    "times": "how long an invalidation takes, and what CreateTime says",
    "budget": "how many calls an account has",
    "events": "what S3's events look like and how late they are",
}


@dataclass(frozen=True, slots=True)
class Options:
    """The command line's words. `repeat`: trials of each question; seconds as named."""

    distribution: str
    bucket: str
    prefix: str
    edge_url: str
    region: str | None
    only: Sequence[str]
    repeat: int
    rest_s: float
    pace_s: float
    report: Path
    dry_run: bool
    yes: bool


def most_paths(options: Options) -> int:
    """Return how many paths the groups use at most."""
    rate = int(calls.RATE_FOR_S / calls.RATE_EVERY_S) + 1
    used = {
        "clearing": sum(trial.path is not None for trial in TRIALS) * options.repeat,
        "root": 2 * options.repeat,
        "references": 2 * 2 + 2 + 1 + 1,
        "times": options.repeat,
        "budget": calls.MOST_IN_A_ROW + rate + 1,
    }
    return sum(used.get(group, 0) for group in options.only)


def text(options: Options, place: Place) -> str:
    """Return the plan in sentences, each a thing that somebody may not want."""
    paths = most_paths(options)
    objects = len(TRIALS) * options.repeat
    where = f"s3://{place.bucket}/{place.key('')}"
    free, usd = f"{FREE_PATHS:,}", f"{paths * FEE_USD:.2f} USD"
    lines = [
        f"distribution {place.distribution}, asked at {place.viewer.url}",
        f"objects      some {objects} small ones, all below {where}, deleted at the end",
        f"paths        at most {paths}: free within the account's {free} a month, else {usd}",
    ]
    if "root" in options.only and place.default_root_object:
        lines.append(
            f"root         / and /{place.default_root_object} are dropped from the cache"
            f" {options.repeat} times; the object is not touched"
        )
    if "budget" in options.only:
        lines.append(
            "budget       the account's calls of CloudFront are used up for half a minute, twice:"
            " whoever else calls then is throttled"
        )
    if "events" in options.only:
        lines.append(
            "events       a bucket, two queues and a rule named holdstill-probe-… are made, and"
            " deleted at the end; the notifications of your bucket are not touched"
        )
    lines.append(f"report       {options.report}")
    return "\n".join(lines)
