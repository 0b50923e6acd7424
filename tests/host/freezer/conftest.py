"""A freezer on real XFS filesystems of a module's own, and its agent.toml."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.host.freezing import Line, is_frozen

BUDGET_S = 1.0


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Path]:
    """Write an agent.toml for the freezer."""

    def write(*paths: Path, run_dir: Path | None = None, budget_s: float = BUDGET_S) -> Path:
        mounts = "".join(f'[[mounts]]\npath = "{path}"\n' for path in paths)
        table = f'[freeze]\nbudget_s = {budget_s}\nrun_dir = "{run_dir or tmp_path / "run"}"\n'
        path = tmp_path / "agent.toml"
        path.write_text(mounts + table)
        path.chmod(0o644)
        return path

    return write


@pytest.fixture
def config(point: Path, configure: Callable[..., Path]) -> Path:
    """Return the configuration for one mount."""
    return configure(point)


@pytest.fixture
def connect(point: Path) -> Iterator[Callable[[Path], Line]]:
    """Start freezers; each is gone at the end, and nothing is frozen."""
    assert not is_frozen(point)
    lines: list[Line] = []

    def start(config: Path) -> Line:
        lines.append(Line(config))
        return lines[-1]

    yield start
    for line in lines:
        line.close()


@pytest.fixture
def line(config: Path, connect: Callable[[Path], Line]) -> Line:
    """Return the line to a freezer that is ready."""
    return connect(config)
