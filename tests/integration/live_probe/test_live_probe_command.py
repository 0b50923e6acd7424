"""The live probe's command: what it asks before it begins, and what it writes at its end."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.live_probe.place import Place
from lab.live_probe.viewer import Viewer
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
