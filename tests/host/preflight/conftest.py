"""A sound host for the pre-flight: a real MariaDB on a real XFS, without a load."""

from pathlib import Path

import pytest

from holdstill_agent.config import Config, load
from lab.host import AgentConfig, DatabaseHost
from tests.host.conftest import VOLUME


@pytest.fixture
def point(quiet_host: DatabaseHost) -> Path:
    """Return its mount."""
    return quiet_host.places.mounts[0]


@pytest.fixture
def config(quiet_host: DatabaseHost) -> Config:
    """Return a configuration that is sound."""
    urls = ("https://sqs/commands", "https://sqs/replies")
    asked = AgentConfig("recipes-db", *urls, "eu-west-1", quiet_patience_s=2)
    return load(quiet_host.write_agent_config(asked, [[VOLUME]]), {})
