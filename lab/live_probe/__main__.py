"""Ask a real distribution: `python -m lab.live_probe --distribution E… --bucket NAME --dry-run`."""

import argparse
import json
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lab.live_probe import answers, calls, clearing, events, plan
from lab.live_probe.answers import Answer
from lab.live_probe.catalogue import TRIALS
from lab.live_probe.listening import Clients, Listening
from lab.live_probe.place import Place, ProbeError
from lab.live_probe.plan import GROUPS, Options
from lab.live_probe.viewer import Viewer

FAILURES: Final = (ProbeError, ClientError, BotoCoreError, OSError, HTTPException)
EXIT_HOLDS, EXIT_DIFFERS, EXIT_FAILED = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Say what would be done, do it if asked to, and return 0 where all holds, 1 where not, 2."""
    options = _options(arguments)
    try:
        place = _place(options)
    except FAILURES as error:
        print(f"cannot look at {options.distribution}: {error}", file=sys.stderr)
        return EXIT_FAILED
    print(plan.text(options, place))
    if options.dry_run or not options.yes:
        print("Nothing was done." + ("" if options.dry_run else " Say --yes to go on."))
        return EXIT_HOLDS if options.dry_run else EXIT_FAILED
    return _run(options, place)


def _run(options: Options, place: Place) -> int:
    found: list[Answer] = []
    failed, left = [], []
    listening = Listening(_clients(options.region), f"holdstill-probe-{secrets.token_hex(6)}")
    asked: dict[str, Callable[[], Iterator[Answer]]] = {
        "clearing": lambda: _clearing(place, options.repeat),
        "root": lambda: clearing.root(place, options.repeat),
        "references": lambda: calls.references(place),
        "times": lambda: calls.times(place, options.repeat),
        "budget": lambda: calls.budget(place, options.rest_s),
        "events": lambda: _events(listening),
    }
    try:
        for group in options.only:
            print(f"asking: {GROUPS[group]}")
            try:
                found.extend(asked[group]())  # one by one: what was answered stays
            except FAILURES as error:
                failed.append(f"{group}: {error}")
                print(f"  failed: {error}", file=sys.stderr)
    finally:
        left = _clean(place, listening if "events" in options.only else None)
        about = {
            "at": datetime.now(UTC).isoformat(),
            "distribution": options.distribution,
            "viewer": place.viewer.url,
            "calls": place.calls,
            "paths": place.paths,
            "failed": failed,
            "left": left,
        }
        report = answers.report(found, about)
        options.report.write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", "utf-8")
        print(answers.table(found))
        print(f"{place.calls} calls, {place.paths} paths; all of it in {options.report}")
        for what in left:
            print(f"NOT DELETED, delete it yourself: {what}", file=sys.stderr)
    if failed or left:
        return EXIT_FAILED
    return EXIT_DIFFERS if any(one.holds is False for one in found) else EXIT_HOLDS


def _clearing(place: Place, repeat: int) -> Iterator[Answer]:
    yield from clearing.clearing(place, TRIALS, repeat)
    yield clearing.raw_plus(place)
    yield clearing.queries(place)


def _events(listening: Listening) -> Iterator[Answer]:
    listening.make()
    yield from events.events(listening)


def _clean(place: Place, listening: Listening | None) -> list[str]:
    left = listening.remove() if listening else []
    try:
        place.clean()
    except FAILURES as error:
        left.append(f"s3://{place.bucket}/{place.key('')}: {error}")
    return left


def _place(options: Options) -> Place:
    """Look at the distribution, which changes nothing. Raise ProbeError, or what boto3 raises."""
    cloudfront: Any = boto3.client(
        "cloudfront",
        region_name=options.region,
        config=Config(retries={"total_max_attempts": 1}),  # a throttled call must be seen
    )
    found = cloudfront.get_distribution(Id=options.distribution)["Distribution"]
    config = found["DistributionConfig"]
    url = (options.edge_url or f"https://{found['DomainName']}").rstrip("/")
    origins = config["Origins"]["Items"]
    of_bucket = [one for one in origins if one["DomainName"].startswith(f"{options.bucket}.")]
    if not of_bucket:
        raise ProbeError(f"it has no origin in the bucket {options.bucket}")
    return Place(
        s3=boto3.client("s3", region_name=options.region),
        cloudfront=cloudfront,
        viewer=Viewer(url),
        bucket=options.bucket,
        distribution=options.distribution,
        origin_path=of_bucket[0].get("OriginPath", ""),
        default_root_object=config.get("DefaultRootObject", ""),
        folder=f"/{options.prefix.strip('/')}/{secrets.token_hex(4)}/",
        pace_s=options.pace_s,
    )


def _clients(region: str | None) -> Clients:
    session = boto3.Session(region_name=region)
    return Clients(
        session.client("s3"),
        session.client("sqs"),
        session.client("events"),
        session.region_name or "us-east-1",
    )


def _options(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m lab.live_probe",
        description="Ask a real distribution what CloudFront's documentation leaves open.",
    )
    parser.add_argument("--distribution", required=True, help="its id, such as E1EXAMPLE")
    parser.add_argument("--bucket", required=True, help="the bucket of one of its origins")
    parser.add_argument("--prefix", default="holdstill-probe", help="below which all objects are")
    parser.add_argument("--edge-url", default="", help="of its viewers, if not its own name")
    parser.add_argument("--region", help="of the bucket, if not the environment's")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="GROUP")
    parser.add_argument("--repeat", type=int, default=3, help="trials of each question (3)")
    parser.add_argument("--rest-s", type=float, default=60, help="before bursts of calls (60)")
    parser.add_argument("--pace-s", type=float, default=2, help="between two calls (2)")
    parser.add_argument("--report", type=Path, default=Path("live-probe.json"))
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, no more")
    parser.add_argument("--yes", action="store_true", help="do it")
    return Options(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
