"""The agent as a host has it: installed alone, from its own distribution."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.host import install_agent

pytestmark = pytest.mark.slow

BUILD = Path(__file__).parents[2] / "build"


def test_agent_is_installed_alone() -> None:
    """The agent's interpreter has the agent, boto3 and PyMySQL, and nothing of the repository."""
    python = install_agent(BUILD)
    installed = "import boto3, holdstill_agent, holdstill_freezer, holdstill_protocol, pymysql"
    subprocess.run([python, "-c", installed], cwd="/", check=True)
    foreign = subprocess.run([python, "-c", "import lab"], cwd="/", check=False)
    assert foreign.returncode != 0
    assert install_agent(BUILD) == python, "the second time it is there"
