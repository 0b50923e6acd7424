"""A folder for a server that runs as its own user."""

from pathlib import Path

import pytest


def server_folder(factory: pytest.TempPathFactory, name: str) -> Path:
    """Make it, with a folder `run` in it; pytest's own folders above it keep others out."""
    folder = factory.mktemp(name)
    for parent in (folder, *folder.parents):
        mode = parent.stat().st_mode
        if mode & 0o055 != 0o055:
            parent.chmod(mode | 0o055)
    (folder / "run").mkdir()
    return folder
