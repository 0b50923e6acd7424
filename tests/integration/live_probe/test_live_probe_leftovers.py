"""What the live probe made is deleted, whatever ends it, and what is left is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.live_probe.listening import Clients, Listening
from lab.live_probe.place import Place
from tests.integration.live_probe.probing import (
    BUCKET,
    ID,
    PACE,
    ROOT,
    Unreachable,
    deploy,
    keys,
    probe,
)

if TYPE_CHECKING:
    from lab.region import Region


@pytest.mark.emulator
def test_what_fails_leaves_nothing_behind(aimed: Region, tmp_path: Path) -> None:
    """A refused permission ends one group, is told, and all is deleted."""
    url = deploy(aimed)
    aimed.edge.control(fault="unavailable", fault_times=9)
    report = tmp_path / "report.json"
    assert probe(url, report, *PACE, "--yes", "--only", "clearing") == 2
    assert "ServiceUnavailable" in json.loads(report.read_text("utf-8"))["failed"][0]
    assert sorted(keys(aimed)) == ["site/index.html", "site/other.txt"]


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
