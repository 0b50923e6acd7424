"""Ask a real distribution: `python -m lab.live_probe --distribution E… --bucket NAME --dry-run`."""

import argparse
import io
import json
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import NoRegionError

from lab.live_probe import answers, calls, clearing, events, plan
from lab.live_probe.answers import Answer
from lab.live_probe.catalogue import TRIALS
from lab.live_probe.listening import Clients, Listening
from lab.live_probe.place import FAILURES, Place, ProbeError
from lab.live_probe.plan import GROUPS, Options
from lab.live_probe.viewer import Viewer

EXIT_HOLDS, EXIT_DIFFERS, EXIT_FAILED, EXIT_STOPPED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Say what would be done, and do it if asked to.

    Return 0 where all holds, 1 where something differs, 2 where something failed, and 130 where it
    was stopped by Ctrl-C or SIGTERM; what was made is deleted before that too.
    """
    options = _options(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a key may be in any writing
    try:
        with _terminated_as_interrupted():
            return _main(options)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return EXIT_STOPPED


def _main(options: Options) -> int:
    try:
        place = _place(options)
        listening = _listening(options) if "events" in options.only else None
    except NoRegionError:
        print("no Region: say --region eu-central-1, or set AWS_DEFAULT_REGION", file=sys.stderr)
        return EXIT_FAILED
    except (*FAILURES, ValueError) as error:  # the latter for an endpoint that is no URL
        print(f"cannot look at {options.distribution}: {error}", file=sys.stderr)
        return EXIT_FAILED
    print(plan.text(options, place))
    if options.dry_run or not options.yes:
        print("Nothing was done." + ("" if options.dry_run else " Say --yes to go on."))
        return EXIT_HOLDS if options.dry_run else EXIT_FAILED
    try:
        options.report.open("a", encoding="utf-8").close()
    except OSError as error:
        print(f"Nothing was done: the report cannot be written: {error}", file=sys.stderr)
        return EXIT_FAILED
    return _run(options, place, listening)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM do as Ctrl-C does, which is cleaned up after."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(options: Options, place: Place, listening: Listening | None) -> int:
    found: list[Answer] = []
    failed: list[str] = []
    left: list[str] = []
    written = stopped = False
    asked: dict[str, Callable[[], Iterator[Answer]]] = {
        "clearing": lambda: _clearing(place, options.repeat),
        "root": lambda: clearing.root(place, options.repeat),
        "references": lambda: calls.references(place),
        "times": lambda: calls.times(place, options.repeat),
        "budget": lambda: calls.budget(place, options.rest_s),
        "events": lambda: _events(listening) if listening else iter(()),
    }
    try:
        for group in options.only:
            print(f"asking: {GROUPS[group]}")
            try:
                found.extend(asked[group]())  # one by one: what was answered stays
            except FAILURES as error:
                failed.append(f"{group}: {error}")
                print(f"  failed: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        stopped = True
        failed.append("stopped before its end")
        print("stopped: what was made is deleted", file=sys.stderr)
    finally:
        left = _clean(place, listening)
        about = {
            "at": datetime.now(UTC).isoformat(),
            "distribution": options.distribution,
            "viewer": place.viewer.url,
            "calls": place.calls,
            "paths": place.paths,
            "failed": failed,
            "left": left,
        }
        print(answers.table(found))
        for what in left:
            print(f"NOT DELETED, delete it yourself: {what}", file=sys.stderr)
        written = _write(options.report, answers.report(found, about))
        where = f"; all of it in {options.report}" if written else ""
        print(f"{place.calls} calls, {place.paths} paths{where}")
    if stopped:
        return EXIT_STOPPED
    if failed or left or not written:
        return EXIT_FAILED
    return EXIT_DIFFERS if any(one.holds is False for one in found) else EXIT_HOLDS


def _write(path: Path, report: Mapping[str, Any]) -> bool:
    """Write the report; where that fails print it, for it was paid for. Return whether it is."""
    text = json.dumps(report, ensure_ascii=False, indent=2) + "\n"
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        print(text)
        print(f"the report cannot be written, and is above: {error}", file=sys.stderr)
        return False
    return True


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
    except KeyboardInterrupt:
        left.append(f"s3://{place.bucket}/{place.key('')}: stopped meanwhile")
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


def _listening(options: Options) -> Listening:
    """Return what would be made for the events. Raise NoRegionError where there is none."""
    session = boto3.Session(region_name=options.region)
    clients = Clients(
        session.client("s3"), session.client("sqs"), session.client("events"), session.region_name
    )
    return Listening(clients, f"holdstill-probe-{secrets.token_hex(6)}")


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
