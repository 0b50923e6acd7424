"""The live probe, aimed at the lab: it must find out what the lab's edge was told to be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.domain.invalidation_limits import Meaning
from lab.live_probe import calls
from lab.live_probe.__main__ import main
from lab.live_probe.listening import Clients, Listening
from lab.live_probe.place import Place
from lab.live_probe.viewer import Viewer

if TYPE_CHECKING:
    from lab.region import Region

ROOT = Path(__file__).parents[2]
ID = "E1PROBE"
BUCKET = "example-probe"
PACE = ["--repeat", "1", "--pace-s", "0.25", "--rest-s", "1.5"]
"""For an account that has five calls a second, and a burst of six."""

EMULATOR = {"origin-raw-plus": "the one with a plus"}
"""Where MiniStack is known not to be S3, and the probe says that the product relies on S3."""

EVERYWHERE = {
    "control-untouched": "kept",
    "control-plain": "cleared",
    "tilde-code-clears-code": "cleared",
    "tilde-raw": "refused",
    "safe-raw-clears-raw": "cleared",
    "parentheses-raw-clears-code": "kept",
    "parentheses-code-clears-raw": "kept",
    "letter-code": "kept",
    "japanese-upper-clears-upper": "cleared",
    "japanese-upper-clears-lower": "kept",
    "japanese-raw": "refused",
    "nfd-clears-nfc": "kept",
    "space": "cleared",
    "plus": "cleared",
    "percent": "cleared",
    "double-slash": "cleared",
    "case": "kept",
    "folder-star-takes-the-folder": "cleared",
    "folder-star-takes-queries": "cleared",
    "exact-takes-queries": "kept",
    "beginning-star-takes-subfolders": "cleared",
    "star-within": "refused",
    "star-code": "kept",
    "queries-are-cached-apart": "yes",
    "root-object-clears-root": "kept",
    "root-clears-root-object": "kept",
    "reference-same-paths": "the first one, with its CreateTime",
    "reference-other-paths": "reference-taken",
    "bad-path": "bad-paths",
    "create-time-and-our-clock": "within 1 s",
    "effect": "within 5 s",
    "completion": "within 25 s",
    "rate": "one in 2 s or more",
    "throttled": "throttled",
    "event-read-direct": "as it was put",
    "event-read-eventbridge": "as it was put",
    "sequencer-direct": "00…",
    "sequencer-eventbridge": "no 00…",
    "sequencer-grows": "they grow",
    "eventbridge-fraction": "no",
    "overlap": "InvalidArgument",
}
"""What any edge of the lab answers, as its documentation is."""

DOCUMENTED = {
    "tilde-code-clears-raw": "cleared",
    "unsafe-code-clears-raw": "cleared",
    "folder-star-takes-subfolders": "cleared",
    "tilde-in-a-wildcard": "cleared",
    "reads": "yes",
    "burst": "3 or more",
}
WORSE = {
    "tilde-code-clears-raw": "kept",
    "unsafe-code-clears-raw": "kept",
    "folder-star-takes-subfolders": "kept",
    "tilde-in-a-wildcard": "kept",
    "reads": "no",
    "burst": "fewer than 3",
}


def test_the_pages_command_starts() -> None:
    """What docs/live-probe.md tells a reader to type is what starts it."""
    page = (ROOT / "docs" / "live-probe.md").read_text("utf-8")
    command = next(line for line in page.splitlines() if "-m lab.live_probe" in line)
    done = subprocess.run(
        ["sh", "-c", f"{command} --help"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--dry-run" in done.stdout


@pytest.fixture
def aimed(region: Region, monkeypatch: pytest.MonkeyPatch) -> Region:
    """Return the Region, seen by every client of this process, with a bucket and its front page."""
    for name, value in region.environment.items():
        monkeypatch.setenv(name, value)
    s3 = region.client("s3")
    s3.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"}
    )
    s3.put_object(Bucket=BUCKET, Key="site/index.html", Body=b"the front page")
    s3.put_object(Bucket=BUCKET, Key="site/other.txt", Body=b"not the probe's")
    region.edge.control(completion_s=0.5, effect_s=0.2, calls_per_s=5)
    return region


def deploy(region: Region, **settings: Any) -> str:
    """Deploy the distribution; return its viewers' URL."""
    return region.edge.deploy(
        **{
            "id": ID,
            "origin_url": region.url,
            "bucket": BUCKET,
            "origin_path": "/site",
            "default_root_object": "index.html",
            "query_strings": True,
            **settings,
        }
    )


def probe(url: str, report: Path, *more: str) -> int:
    """Run it as from a command line; return what it ends with."""
    where = ["--distribution", ID, "--bucket", BUCKET, "--edge-url", url, "--report", str(report)]
    return main([*where, *more])


def keys(region: Region) -> list[str]:
    """Return the keys of the bucket."""
    listed = region.client("s3").list_objects_v2(Bucket=BUCKET)
    return [one["Key"] for one in listed["Contents"]]


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize(
    ("settings", "controls", "told"),
    [
        ({}, {}, DOCUMENTED),
        (
            {"encodings": "as-sent", "wildcards": "folder"},
            {"reads_count": False, "burst": 2, "reused_reference": "InvalidArgument"},
            WORSE,
        ),
    ],
    ids=["documented", "worse"],
)
def test_the_probe_tells_the_edges_apart(
    aimed: Region,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    controls: dict[str, Any],
    told: dict[str, str],
) -> None:
    """The answers are the edge's settings; where the product relies on another, it says so."""
    monkeypatch.setattr(calls, "RATE_FOR_S", 4.0)
    aimed.edge.control(**controls)
    report = aimed.workdir / "report.json"
    code = probe(deploy(aimed, **settings), report, *PACE, "--yes")
    written = json.loads(report.read_text("utf-8"))
    found = {one["id"]: one["answer"] for one in written["answers"]}
    expected = {**EVERYWHERE, **EMULATOR, **told}
    assert {name: found.get(name) for name in expected} == expected
    assert (written["failed"], written["left"], code) == ([], [], 1)
    differs = {one["id"] for one in written["answers"] if one["holds"] is False}
    worse = WORSE.keys() - {"reads"} if told is WORSE else set()
    assert differs == EMULATOR.keys() | worse
    assert sorted(keys(aimed)) == ["site/index.html", "site/other.txt"]
    assert [one["Name"] for one in aimed.client("s3").list_buckets()["Buckets"]] == [BUCKET]


@pytest.mark.emulator
@pytest.mark.parametrize("words", [["--dry-run"], [], ["--dry-run", "--yes"]])
def test_nothing_is_done_without_a_yes(
    aimed: Region, tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what it would make and cost, and no more."""
    report = tmp_path / "report.json"
    code = probe(deploy(aimed), report, *PACE, "--only", "references", *words)
    assert code == (0 if words else 2)
    said = capsys.readouterr().out
    assert "s3://example-probe/site/holdstill-probe/" in said
    assert "USD" in said
    assert "Nothing was done." in said
    assert not report.exists()
    assert set(aimed.edge.state()["calls"]) == {"GetDistribution"}
    assert sorted(keys(aimed)) == ["site/index.html", "site/other.txt"]


@pytest.mark.emulator
def test_all_holds_is_an_end_without_an_error(aimed: Region, tmp_path: Path) -> None:
    """So that a script sees whether there is anything to read."""
    report = tmp_path / "report.json"
    assert probe(deploy(aimed), report, *PACE, "--yes", "--only", "references") == 0
    assert {one["holds"] for one in json.loads(report.read_text("utf-8"))["answers"]} == {
        True,
        None,
    }


@pytest.mark.emulator
def test_a_path_that_is_refused_spoils_no_other(aimed: Region) -> None:
    """Whatever CloudFront refuses unexpectedly is found by halving; the others are invalidated."""
    url = deploy(aimed)
    aimed.edge.control(throttling=False)
    place = Place(
        s3=aimed.client("s3"),
        cloudfront=aimed.client("cloudfront"),
        viewer=Viewer(url),
        bucket=BUCKET,
        distribution=ID,
        origin_path="/site",
        default_root_object="",
        folder="/probe/",
        pace_s=0,
    )
    taken, refused = place.ask_all(["/a", "/~", "/b", "/c", "no-slash"], "any")
    assert set(refused) == {"/~", "no-slash"}
    assert {one.meaning for one in refused.values()} == {Meaning.BAD_PATHS}
    assert aimed.edge.state()["distributions"][ID]["paths"]["exact"] == 3
    assert place.paths == 3
    assert len({one.id for one in taken}) == len(taken)


@pytest.mark.emulator
def test_what_fails_leaves_nothing_behind(aimed: Region, tmp_path: Path) -> None:
    """A refused permission ends one group, is told, and all is deleted."""
    url = deploy(aimed)
    aimed.edge.control(fault="unavailable", fault_times=9)
    report = tmp_path / "report.json"
    assert probe(url, report, *PACE, "--yes", "--only", "clearing") == 2
    assert "ServiceUnavailable" in json.loads(report.read_text("utf-8"))["failed"][0]
    assert sorted(keys(aimed)) == ["site/index.html", "site/other.txt"]


class Unreachable:
    """A client without a network."""

    def __getattr__(self, name: str) -> Any:
        raise EndpointConnectionError(endpoint_url=f"https://{name}")


def test_what_no_network_lets_be_deleted_is_listed() -> None:
    """All of it: the first that cannot be deleted keeps nobody from the next."""
    none = Unreachable()
    listening = Listening(Clients(none, none, none, "x"), "holdstill-probe-1", {"direct": "url"})
    left = listening.remove()
    assert [one.split(":")[0] for one in left] == [
        "bucket holdstill-probe-1",
        "rule holdstill-probe-1",
        "queues holdstill-probe-1-*",
    ]
    assert all("Could not connect" in one for one in left)


def test_without_a_region_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """CloudFront needs none; what the events need is missed before anything is made."""
    none = Unreachable()
    place = Place(none, none, Viewer("http://localhost"), BUCKET, ID, "", "", "/probe/")
    monkeypatch.setattr("lab.live_probe.__main__._place", lambda _: place)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    report = tmp_path / "report.json"
    assert probe("http://localhost", report, "--yes", "--only", "events") == 2
    assert "no Region: say --region" in capsys.readouterr().err
    assert not report.exists()


def test_an_endpoint_that_is_none_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a traceback."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    assert probe("http://localhost", tmp_path / "report.json", "--yes") == 2
    assert "nonsense" in capsys.readouterr().err


@pytest.mark.emulator
def test_a_report_that_cannot_be_written_is_said_before_anything_is_paid(
    aimed: Region, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped folder costs nothing."""
    report = tmp_path / "none" / "report.json"
    assert probe(deploy(aimed), report, *PACE, "--yes", "--only", "references") == 2
    assert "Nothing was done: the report cannot be written" in capsys.readouterr().err
    assert set(aimed.edge.state()["calls"]) == {"GetDistribution"}


@pytest.mark.emulator
def test_a_report_that_cannot_be_written_in_the_end_is_printed(
    aimed: Region,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After the table: both were paid for."""

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    url = deploy(aimed)
    monkeypatch.setattr(Path, "write_text", full)
    code = probe(url, tmp_path / "report.json", *PACE, "--yes", "--only", "references")
    monkeypatch.undo()
    assert code == 2
    said = capsys.readouterr()
    assert said.out.count("reference-same-paths") == 2
    assert '"answers"' in said.out
    assert "No space left" in said.err


@pytest.mark.emulator
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_it_leaves_nothing_behind(aimed: Region, tmp_path: Path, number: int) -> None:
    """What was made is deleted, what was answered is written; there is no traceback."""
    report = tmp_path / "report.json"
    where = ["--distribution", ID, "--bucket", BUCKET, "--edge-url", deploy(aimed)]
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "lab.live_probe", *where, "--report", str(report)),
            *(*PACE, "--yes", "--only", "events", "clearing"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'agent' / 'src'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        until = time.monotonic() + 60
        while len(aimed.client("s3").list_buckets()["Buckets"]) == 1:
            assert time.monotonic() < until
            time.sleep(0.05)
        command.send_signal(number)
        said, complaints = command.communicate(timeout=60)
    assert command.returncode == 130, complaints
    assert "Traceback" not in complaints
    assert "NOT DELETED" not in complaints
    assert str(report) in said
    assert json.loads(report.read_text("utf-8"))["failed"] == ["stopped before its end"]
    assert [one["Name"] for one in aimed.client("s3").list_buckets()["Buckets"]] == [BUCKET]
    assert aimed.client("sqs").list_queues(QueueNamePrefix="holdstill-probe").get("QueueUrls") in (
        None,
        [],
    )
    assert sorted(keys(aimed)) == ["site/index.html", "site/other.txt"]


@pytest.mark.emulator
def test_who_stops_the_deleting_is_told_what_is_left(
    aimed: Region,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A second Ctrl-C ends it; the report and the list come all the same."""

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    report = tmp_path / "report.json"
    monkeypatch.setattr(Place, "clean", interrupted)
    monkeypatch.setattr("lab.live_probe.calls.references", interrupted)
    code = probe(deploy(aimed), report, *PACE, "--yes", "--only", "references")
    assert code == 130
    assert "NOT DELETED, delete it yourself: s3://example-probe/site/" in capsys.readouterr().err
    assert "stopped meanwhile" in json.loads(report.read_text("utf-8"))["left"][0]
