"""Tables that only seem to be on a mount are found by the links and mounts that lead away."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdstill_freezer import links
from holdstill_freezer.errors import UnfitMountError
from holdstill_freezer.links import require_tables_on_mounts
from holdstill_freezer.mounts import Mount, device_of
from holdstill_freezer.settings import read_settings

ELSEWHERE = "0:0"  # as no filesystem has


def _mount(path: Path, device: str) -> Mount:
    return Mount(str(path), device, "xfs", -1)


def _files(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a mount with a data directory: all below is of one device, all else of another."""
    point = tmp_path / "mount"
    _files(point / "mysql", "ibdata1", "mysql/user.frm", "shop/db.opt")
    _files(tmp_path / "big", "orders/db.opt", "m.MYD", "a.ARZ", "ca.pem")

    def device(path: str) -> str:
        device_of(path)
        return "7:1" if Path(path).resolve().is_relative_to(point) else ELSEWHERE

    monkeypatch.setattr(links, "device_of", device)
    return point


def _mount_at(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    """Say that these are mounts, and that what leads away leads elsewhere."""
    monkeypatch.setattr(links, "mount_points", lambda: frozenset(map(str, paths)))
    monkeypatch.setattr(links, "device_of", lambda _: ELSEWHERE)


@pytest.mark.parametrize(
    ("at", "to"),
    [
        ("mysql/shop/m.MYD", "big/m.MYD"),
        ("mysql/shop/a.ARZ", "big/a.ARZ"),
        ("mysql/m.MYI", "big/m.MYD"),
        ("mysql/orders", "big/orders"),
        ("mysql/shop/m.MYD", "nowhere/m.MYD"),
    ],
)
def test_table_behind_a_link_is_refused(point: Path, at: str, to: str) -> None:
    """A table's file or a schema, in a data directory; also where it cannot be seen."""
    (point / at).symlink_to(point.parent / to)
    told = f"{point / at} is {point.parent / to}, on none of"
    with pytest.raises(UnfitMountError) as caught:
        require_tables_on_mounts([_mount(point, "7:1")])
    assert told in str(caught.value)
    other = _mount(point.parent / "big", ELSEWHERE)
    if "nowhere" not in to:
        assert require_tables_on_mounts([_mount(point, "7:1"), other]), "it is frozen too"


@pytest.mark.parametrize("marks", [("ibdata1",), ("mysql/", "aria_log_control")])
@pytest.mark.parametrize("where", [".", "lib/mysql", "a/b/c/d/e"])
def test_data_directory_is_found(point: Path, where: str, marks: tuple[str, ...]) -> None:
    """The mount itself, as /var has it by default, or deep; with or without InnoDB."""
    (point / "mysql" / "ibdata1").unlink()
    _files(point / where, *(f"{mark}x" if mark.endswith("/") else mark for mark in marks))
    _files(point / where, "stock/db.opt")
    link = point / where / "stock" / "m.MYD"
    link.symlink_to(point.parent / "big" / "m.MYD")
    with pytest.raises(UnfitMountError, match=r"stock/m\.MYD is "):
        require_tables_on_mounts([_mount(point, "7:1")])


def test_schema_that_is_a_mount_is_refused(point: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another st_dev is a btrfs subvolume too; only the mounts' own list tells them apart."""
    _files(point / "mysql" / "orders", "db.opt")
    _mount_at(monkeypatch, point, point / "mysql" / "orders")
    with pytest.raises(UnfitMountError, match="mysql/orders is a mount of its own, on none of"):
        require_tables_on_mounts([_mount(point, "7:1")])


def test_another_servers_files_are_nobodys_business(
    point: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second instance on a volume of its own, a backup behind a link, beside or within."""
    for name in ("mysql2", "mysql/instance"):
        _files(point / name, "auto.cnf", "mysql.ibd", "mysql/x", "shop/db.opt")
    backup = point.parent / "big" / "backup"
    _files(backup, "ibdata1", "mysql.ibd", "mysql/x")
    (point / "backup").mkdir()
    (point / "backup" / "latest").symlink_to(backup)
    (point / "mysql" / "latest").symlink_to(backup)
    (point / "loose").symlink_to(point.parent / "big" / "orders")
    _mount_at(monkeypatch, point, point / "mysql2", point / "mysql" / "instance")
    assert require_tables_on_mounts([_mount(point, "7:1")])


def test_data_directory_below_innodbs_home_is_looked_into(point: Path) -> None:
    """innodb_data_home_dir = /data with datadir = /data/mysql: both look like data directories."""
    _files(point, "ibdata1")
    (point / "mysql" / "shop" / "m.MYD").symlink_to(point.parent / "big" / "m.MYD")
    with pytest.raises(UnfitMountError, match=r"shop/m\.MYD is "):
        require_tables_on_mounts([_mount(point, "7:1")])


def test_link_without_tables_is_nobodys_business(point: Path) -> None:
    """A certificate elsewhere, a folder of other things, a table beside: no reason to refuse."""
    (point / "mysql" / "ca.pem").symlink_to(point.parent / "big" / "ca.pem")
    (point / "mysql" / "www").symlink_to(point.parent / "big")
    (point.parent / "big" / "m.MYD").unlink()
    (point.parent / "big" / "a.ARZ").unlink()
    (point / "mysql" / "shop" / "a.MYD").touch()
    (point / "mysql" / "shop" / "b.MYD").symlink_to("a.MYD")
    (point / "mysql" / "ring").symlink_to("ring")
    assert require_tables_on_mounts([_mount(point, "7:1")])


def test_look_ends_in_time_and_says_so(point: Path) -> None:
    """A million files are not worth a run; that not all were seen is told."""
    assert not require_tables_on_mounts([_mount(point, "7:1")], within_s=0)


def test_stray_that_was_seen_in_time_is_refused(
    point: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the time was over after it excuses nothing."""
    (point / "mysql" / "orders").symlink_to(point.parent / "big" / "orders")
    strays = links._strays

    def until_then(*arguments: Any) -> Iterator[str]:
        yield from strays(*arguments)
        raise links._OutOfTimeError

    monkeypatch.setattr(links, "_strays", until_then)
    with pytest.raises(UnfitMountError, match="mysql/orders is "):
        require_tables_on_mounts([_mount(point, "7:1")])


def test_table_that_is_dropped_meanwhile_is_no_stray(point: Path) -> None:
    """Listed, and gone before it was looked at."""
    assert links._is_held(str(point / "mysql" / "dropped.MYD"), {"7:1"})


@pytest.mark.parametrize("lock", ["none", "ftwrl", None])
def test_without_a_lock_there_is_no_database_to_keep_whole(
    tmp_path: Path, lock: str | None
) -> None:
    """With lock "none" nobody looks: what is consistent then is the filesystem alone."""
    config = tmp_path / "agent.toml"
    mysql = f'[mysql]\nlock = "{lock}"\n' if lock else ""
    config.write_text(f'{mysql}[[mounts]]\npath = "/data"\n')
    config.chmod(0o644)
    assert read_settings(config).has_database == (lock != "none")
