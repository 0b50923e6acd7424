"""A freezer holds all its mounts or none, once a line, and knows its own freeze from another's."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.host import disk
from tests.host.freezing import RUN, Line, is_frozen

pytestmark = pytest.mark.root


def test_freeze_holds_until_thaw(line: Line, point: Path) -> None:
    """The filesystem is frozen from `frozen` to `thawed`, and nothing else is said."""
    assert line.greeting == f"ready 1000 {_device(point)}"
    assert line.ask("sync").startswith("synced ")
    assert line.ask(f"freeze {RUN}").startswith("frozen ")
    assert is_frozen(point)
    assert line.ask("thaw").startswith("thawed commanded 1 ")
    assert not is_frozen(point)


def test_one_freeze_a_line(line: Line, point: Path) -> None:
    """A second freeze, or anything that is not understood, is refused and changes nothing."""
    assert line.ask("thaw").startswith("failed bad-request")
    assert line.ask("freeze ../../etc").startswith("failed bad-request")
    line.ask(f"freeze {RUN}")
    assert line.ask(f"freeze {RUN}").startswith("failed bad-request")
    assert is_frozen(point)
    line.ask("thaw")
    assert line.ask(f"freeze {RUN}").startswith("failed bad-request")
    assert not is_frozen(point)


def test_all_mounts_are_held(
    connect: Callable[[Path], Line],
    points: tuple[Path, Path],
    point: Path,
    configure: Callable[..., Path],
) -> None:
    """Several mounts are frozen together, and all thawed when the line ends."""
    assert point == points[0]
    line = connect(configure(*points))
    line.ask(f"freeze {RUN}")
    assert all(is_frozen(each) for each in points)
    line.close()
    assert not any(is_frozen(each) for each in points)


def test_second_mount_refused_thaws_the_first(
    connect: Callable[[Path], Line],
    points: tuple[Path, Path],
    point: Path,
    configure: Callable[..., Path],
) -> None:
    """Of several mounts all are held or none."""
    line = connect(configure(*points))
    disk.freeze(points[1])
    assert line.ask(f"freeze {RUN}").startswith("failed already-frozen ")
    assert not is_frozen(point)
    assert is_frozen(points[1])
    line.close()


def test_foreign_freeze_is_left_alone(line: Line, point: Path) -> None:
    """What somebody else froze is refused, and not thawed, neither now nor at the line's end."""
    disk.freeze(point)
    assert line.ask(f"freeze {RUN}").startswith("failed already-frozen ")
    line.close()
    assert is_frozen(point)


def test_foreign_thaw_is_noticed(line: Line, point: Path) -> None:
    """Thawed behind its back, the hold was not intact."""
    line.ask(f"freeze {RUN}")
    assert disk.thaw(point)
    assert line.ask("thaw").startswith("thawed commanded 0 ")


def _device(point: Path) -> str:
    number = point.stat().st_dev
    return f"{os.major(number)}:{os.minor(number)}"
