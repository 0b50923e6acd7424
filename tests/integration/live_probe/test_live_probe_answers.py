"""The live probe finds out what the lab's edge was told to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from functions.domain.invalidation_limits import Meaning
from lab.live_probe import calls
from lab.live_probe.place import Place
from lab.live_probe.viewer import Viewer
from tests.integration.live_probe.probing import BUCKET, ID, PACE, deploy, keys, probe

if TYPE_CHECKING:
    from lab.region import Region

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
