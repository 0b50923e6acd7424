"""A freezer that is ready, on two filesystems of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.freezing import Line, watchdog

BUDGET_S = 10


@pytest.fixture
def config(points: tuple[Path, Path], tmp_path: Path) -> Iterator[Path]:
    """Return a configuration that names them; they are not frozen for longer than 20 s."""
    path = tmp_path / "agent.toml"
    mounts = "".join(f'[[mounts]]\npath = "{point}"\n' for point in points)
    path.write_text(f'{mounts}[freeze]\nbudget_s = {BUDGET_S}\nrun_dir = "{tmp_path / "run"}"\n')
    path.chmod(0o644)
    with watchdog(*points):
        yield path


@pytest.fixture
def line(config: Path) -> Iterator[Line]:
    """Return the line to a freezer that is ready."""
    line = Line(config)
    yield line
    line.close()
