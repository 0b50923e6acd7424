"""A Holdstill in which nothing was done yet, and somebody to be asked."""

import pytest

from cli import confirmation
from tests.unit.cli.invalidate.commanded import World


@pytest.fixture
def world() -> World:
    """Return a world in which nothing was done yet."""
    return World()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let somebody be there to be asked."""
    monkeypatch.setattr(confirmation, "is_somebody_there", lambda: True)
