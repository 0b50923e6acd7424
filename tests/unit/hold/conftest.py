"""A hold on a fake host, its pre-flight passed."""

from pathlib import Path

import pytest

from holdstill_agent.config import Config, load
from holdstill_agent.hold import Hold
from tests.unit.hold.fake_host import World, prepared


@pytest.fixture
def config() -> Config:
    """Return the example's configuration."""
    return load(Path(__file__).parents[3] / "agent" / "agent.example.toml")


@pytest.fixture
def world() -> World:
    """Return a host on which nothing is held."""
    return World()


@pytest.fixture
def hold(config: Config, world: World) -> Hold:
    """Return a hold whose pre-flight has passed."""
    return prepared(config, world)
