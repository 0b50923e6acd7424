"""A running loop, stopped after each test."""

from collections.abc import Iterator

import pytest

from tests.unit.loop.noted_loop import Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Return a running loop."""
    rig = Rig()
    yield rig
    rig.stop()
