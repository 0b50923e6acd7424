"""Tables that only seem to be on a mount are found by the links and mounts that lead away."""

from pathlib import Path

import pytest

from holdstill_freezer import links
from holdstill_freezer.errors import UnfitMountError
from holdstill_freezer.links import require_tables_on_mounts
from holdstill_freezer.mounts import Mount, device_of

ELSEWHERE = "0:0"  # as no filesystem has


def _mount(path: Path, device: str) -> Mount:
    return Mount(str(path), device, "xfs", -1)


@pytest.fixture
def point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a mount: what is below it is of one device, all else of another."""
    point = tmp_path / "mount"
    (point / "mysql" / "shop").mkdir(parents=True)
    (tmp_path / "big" / "orders").mkdir(parents=True)
    (tmp_path / "big" / "orders" / "db.opt").touch()
    (tmp_path / "big" / "m.MYD").touch()
    (tmp_path / "big" / "ca.pem").touch()

    def device(path: str) -> str:
        device_of(path)
        return "7:1" if Path(path).resolve().is_relative_to(point) else ELSEWHERE

    monkeypatch.setattr(links, "device_of", device)
    return point


@pytest.mark.parametrize(
    ("at", "to"),
    [
        ("mysql/shop/m.MYD", "big/m.MYD"),
        ("mysql/m.MYI", "big/m.MYD"),
        ("mysql/orders", "big/orders"),
        ("orders", "big/orders"),
        ("mysql/shop/m.MYD", "nowhere/m.MYD"),
    ],
)
def test_table_behind_a_link_is_refused(point: Path, at: str, to: str) -> None:
    """A table's file or a schema, on the first three levels; also where it cannot be seen."""
    (point / at).symlink_to(point.parent / to)
    told = f"{point / at} is {point.parent / to}, on none of"
    with pytest.raises(UnfitMountError) as caught:
        require_tables_on_mounts([_mount(point, "7:1")])
    assert told in str(caught.value)
    other = _mount(point.parent / "big", ELSEWHERE)
    if "nowhere" not in to:
        assert require_tables_on_mounts([_mount(point, "7:1"), other]), "it is frozen too"


def test_link_without_tables_is_nobodys_business(point: Path) -> None:
    """A certificate elsewhere, a folder of other things, a table beside: no reason to refuse."""
    (point / "mysql" / "ca.pem").symlink_to(point.parent / "big" / "ca.pem")
    (point / "mysql" / "www").symlink_to(point.parent / "big")
    (point.parent / "big" / "m.MYD").unlink()
    (point / "mysql" / "shop" / "a.MYD").touch()
    (point / "mysql" / "shop" / "b.MYD").symlink_to("a.MYD")
    assert require_tables_on_mounts([_mount(point, "7:1")])


def test_look_ends_in_time_and_says_so(point: Path) -> None:
    """A million files are not worth a run; that not all were seen is told."""
    assert not require_tables_on_mounts([_mount(point, "7:1")], within_s=0)


def test_table_that_is_dropped_meanwhile_is_no_stray(point: Path) -> None:
    """Listed, and gone before it was looked at."""
    assert links._is_held(str(point / "mysql" / "dropped.MYD"), {"7:1"})
