"""What importing a handler costs and needs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HEAVY = ("boto3", "s3transfer", "pydantic", "aws_xray_sdk", "mypy_boto3_ec2")


@pytest.mark.parametrize("handler", ["functions.backup", "functions.sweep"])
def test_importing_a_handler_needs_no_environment_and_nothing_heavy(handler: str) -> None:
    """Settings are read at the first event; what costs cold start and serves nothing stays out."""
    program = (
        f"import sys, {handler};"
        f"print([name for name in {HEAVY!r} if name in sys.modules], {handler}.handler.__name__)"
    )
    path = f"{ROOT}:{ROOT / 'agent' / 'src'}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["[]", "handler"]
