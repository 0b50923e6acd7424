"""What a dead freezer left: each mount is tried, and only what failed is tried again."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from holdstill_freezer import kernel
from holdstill_freezer.errors import UnfitMountError
from holdstill_freezer.marker import Marker
from holdstill_freezer.mounts import Mount, device_of


class Frozen:
    """Folders that stand for frozen mounts: a thaw is noted, or refused; no kernel is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.frozen: set[str] = set()
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self._folder = folder
        folder.mkdir()
        monkeypatch.setattr(kernel, "thaw", self._thaw)

    def _thaw(self, descriptor: int) -> bool:
        path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        self.asked.append(path)
        if path in self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        was_frozen = path in self.frozen
        self.frozen.discard(path)
        return was_frozen

    def mount(self, name: str, device: str | None = None) -> Mount:
        """Return one that is frozen."""
        path = self._folder / name
        path.mkdir()
        self.frozen.add(str(path))
        return Mount(str(path), device or device_of(str(path)), "xfs", -1)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Frozen:
    """Return a host on which nothing is frozen yet."""
    return Frozen(monkeypatch, tmp_path.resolve() / "mounts")


def _left(tmp_path: Path, mounts: Iterable[Mount]) -> Marker:
    """Return the marker of a freezer that died with these begun."""
    marker = Marker.acquire(str(tmp_path / "run"))
    mounts = tuple(mounts)
    marker.write("run-1", mounts, rcu=False)
    for index in range(len(mounts)):
        marker.begin(index)
    return marker


@pytest.mark.parametrize("where", [0, 1, 2])
@pytest.mark.parametrize("how", ["gone", "another", "broken"])
def test_one_mount_that_fails_keeps_no_other_frozen(
    world: Frozen, tmp_path: Path, how: str, where: int
) -> None:
    """Gone, another filesystem now, or refused by the kernel: the others are thawed, it is told."""
    mounts = [world.mount(name) for name in ("a", "b", "c", "d e")]
    path, device = mounts[where].path, mounts[where].device
    if how == "gone":
        world.frozen.discard(path)
        Path(path).rmdir()
    elif how == "another":
        mounts[where] = Mount(path, "0:0", "xfs", -1)
    world.broken = {path} if how == "broken" else set()
    marker = _left(tmp_path, mounts)
    with pytest.raises(OSError if how == "broken" else UnfitMountError):
        marker.recover()
    assert world.frozen <= {path}
    mended = f"mount 1 {device} {path}\n"
    marked = (tmp_path / "run" / "freeze").read_text().replace(" 0:0 ", f" {device} ")
    assert mended in marked, "or nobody would try it again"
    assert marked.count("mount 1 ") == 1
    assert marked.count("mount 0 ") == len(mounts) - 1


def test_what_was_thawed_is_nobodys_to_thaw_again(world: Frozen, tmp_path: Path) -> None:
    """While one mount is unresolved, somebody else may freeze another: that is not ours."""
    one, two = world.mount("one"), world.mount("two")
    world.broken = {two.path}
    marker = _left(tmp_path, (one, two))
    with pytest.raises(OSError, match="Input/output"):
        marker.recover()
    world.frozen.add(one.path)
    world.broken.clear()
    assert marker.recover() == [two.path]
    assert world.frozen == {one.path}
    assert (tmp_path / "run" / "freeze").read_text() == "", "all is resolved"


def test_foreign_rcu_setting_outlives_a_failed_recovery(
    world: Frozen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RCU is put back once: who switches it on before the next recovery is not us."""
    put_back: list[None] = []
    monkeypatch.setattr(kernel, "end_rcu_expedited", lambda: put_back.append(None))
    stuck = world.mount("stuck")
    world.broken = {stuck.path}
    marker = Marker.acquire(str(tmp_path / "run"))
    marker.write("run-1", (stuck,), rcu=True)
    marker.begin(0)
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            marker.recover()
    assert len(put_back) == 1
