"""The app as users start it: without an account, without an environment, with a typing error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.asset import Asset
from lab.deploy import caches
from tests.infra.template_reading import Synth

ROOT = Path(__file__).parents[2]
CDK = ROOT / "node_modules" / ".bin" / "cdk"


def run(*command: str | Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing in its environment that a machine without any account lacks."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **caches()},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_example_synthesizes_without_account_or_environment(
    tmp_path: Path, asset: Asset
) -> None:
    """`cdk synth` of a fresh clone works before anything is configured."""
    done = run(CDK, "synth", "--quiet", "--output", tmp_path / "out", tmp_path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert asset.digest
    assert sorted(path.name for path in (tmp_path / "out").glob("*.template.json")) == [
        "holdstill-core.template.json",
        "holdstill-fleet-18.template.json",
    ]


def test_every_fault_is_a_line_on_stderr(tmp_path: Path) -> None:
    """A wrong configuration ends with exit code 1, its faults and no traceback."""
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[policies.a]\nschedule = "daily"\nkeep = {}\n')
    context = f"config={wrong}"
    done = run(
        CDK, "synth", "--quiet", "-c", context, "--output", tmp_path / "out", tmp_path=tmp_path
    )
    assert done.returncode == 1
    faults = [line for line in done.stderr.splitlines() if line.startswith("wrong.toml: ")]
    assert [fault.split(": ")[:3] for fault in faults] == [
        ["wrong.toml", "line 2", "policies.a.schedule"],
        ["wrong.toml", "line 3", "policies.a.keep"],
    ]
    assert "Traceback" not in done.stderr


def test_the_app_alone_says_nothing_when_all_is_well(tmp_path: Path) -> None:
    """No warning, no banner: whatever a synth prints is for its operator to act on."""
    done = run(sys.executable, "app.py", tmp_path=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_configured_site_says_nothing_either(tmp_path: Path) -> None:
    """What is deployed of a site needs no warning."""
    config = tmp_path / "site.toml"
    config.write_text('[sites.static]\nbucket = "example-static"\ndistributions = ["E1EXAMPLE"]\n')
    context = f"config={config}"
    out = tmp_path / "out"
    done = run(CDK, "synth", "--quiet", "-c", context, "--output", out, tmp_path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.lower()
    assert (out / "holdstill-uploads.template.json").exists()


@pytest.mark.parametrize("nothing", ["", "[targets]\n", "[sites]\n"])
def test_no_target_is_no_fleet_and_no_site_no_uploads(synth: Synth, nothing: str) -> None:
    """Without a target and a site there is the core alone."""
    assert list(synth(nothing)) == ["holdstill-core"]
