"""What the freezer would not freeze, on hosts that this one is not."""

import os
from pathlib import Path

import pytest

from holdstill_freezer import mounts as mounts_module
from holdstill_freezer.errors import UnfitMountError
from holdstill_freezer.mounts import Mount, _require_no_image_within, device_of, open_mounts
from holdstill_freezer.sysfs import has_journal_elsewhere, images_below

SWAPS = "Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 9 0 100\n"


def _show_proc(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str | None) -> None:
    """Let these be what is in /proc beside this process's own folder; None: it is not there."""
    monkeypatch.setattr(mounts_module, "Path", lambda path: _shown(folder, path))
    for name, content in files.items():
        if content is not None:
            (folder / name).write_text(content)


def _shown(folder: Path, path: str) -> Path:
    shown = str(path).startswith("/proc/") and not str(path).startswith("/proc/self/")
    return folder / Path(path).name if shown else Path(path)


@pytest.mark.parametrize("name", ["swapfile", "swapfile\\040(deleted)"])
def test_swap_file_that_cannot_be_seen_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Which filesystem it would hold is not known; what to do about it is."""
    _show_proc(tmp_path, monkeypatch, swaps=f"{SWAPS}{tmp_path}/hidden/{name} file 9 0 -2\n")
    told = f"the swap file {tmp_path}/hidden/swapfile.* cannot be looked at from here, and may be"
    with pytest.raises(UnfitMountError, match=told) as caught:
        open_mounts([], str(tmp_path))
    assert "swapoff it or" in str(caught.value)
    assert "ProtectHome=read-only in a drop-in" in str(caught.value)


def test_kernel_without_swap_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where the rest of /proc is there: hidden as a whole, it says nothing about swap."""
    _show_proc(tmp_path, monkeypatch, swaps=None, meminfo=None)
    with pytest.raises(UnfitMountError, match="must not have ProcSubset=pid"):
        open_mounts([], str(tmp_path))
    _show_proc(tmp_path, monkeypatch, meminfo="MemTotal: 9 kB\n")
    assert open_mounts([], str(tmp_path)) == ()


def test_mount_that_is_not_listed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a chroot no line may tell of the root directory: an error with a name, not a crash."""
    monkeypatch.setattr(mounts_module, "_mountinfo", dict)
    with pytest.raises(UnfitMountError, match=r"^/ is on a mount that .* does not show.*chroot"):
        device_of("/")


def _link(path: Path, to: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(to)


@pytest.mark.parametrize(
    ("journals", "elsewhere"),
    [
        (["dm-1-8"], False),
        (["dm-1-8", "loop1"], False),
        (["loop1"], True),
        (["dm-10-8", "dm-2"], True),
        (["dm-10-8"], False),
        ([], False),
    ],
)
def test_journal_elsewhere_is_known_by_its_name(
    tmp_path: Path, journals: list[str], elsewhere: bool
) -> None:
    """A filesystem's own journal is named by its device and inode, another by its device alone."""
    (tmp_path / "devices/dm-1").mkdir(parents=True)
    _link(tmp_path / "dev/block/253:1", tmp_path / "devices/dm-1")
    for name in ("dm-1", "dm-2", "dm-10", "loop1"):
        (tmp_path / "class/block" / name).mkdir(parents=True)
    for name in journals:
        (tmp_path / "journals" / name).mkdir(parents=True)
    assert has_journal_elsewhere("253:1", tmp_path, tmp_path / "journals") == elsewhere


def test_images_are_found_below_whatever_is_between(tmp_path: Path) -> None:
    """Through a logical volume, a partition, or both; a disk has none."""
    loop, part = tmp_path / "devices/loop1", tmp_path / "devices/loop1/loop1p1"
    part.mkdir(parents=True)
    (part / "partition").write_text("1\n")
    (loop / "loop").mkdir()
    (loop / "loop/backing_file").write_bytes(b"/srv/an image\xff\n")
    (tmp_path / "devices/nvme1n1").mkdir()
    _link(tmp_path / "devices/dm-0/slaves/loop1p1", part)
    _link(tmp_path / "devices/dm-0/slaves/nvme1n1", tmp_path / "devices/nvme1n1")
    numbers = {"7:1": loop, "259:1": part, "253:0": tmp_path / "devices/dm-0"}
    for number, device in numbers.items():
        _link(tmp_path / "dev/block" / number, device)
        assert list(images_below(number, tmp_path)) == [os.fsdecode(b"/srv/an image\xff")]
    _link(tmp_path / "dev/block/259:0", tmp_path / "devices/nvme1n1")
    assert list(images_below("259:0", tmp_path)) == []
    assert list(images_below("0:45", tmp_path)) == []


@pytest.mark.parametrize("outer", ["7:2", "259:0"])
def test_image_on_another_mount_is_refused(monkeypatch: pytest.MonkeyPatch, outer: str) -> None:
    """Also where a third filesystem, which is not named, lies in between; in whatever order."""
    images = {"7:1": ["/deleted", "/mid/image"], "7:2": ["/outer/image"]}
    on = {"/mid/image": "7:2", "/outer/image": "259:0"}

    def holding(path: str) -> str:
        if path not in on:
            raise UnfitMountError(path)
        return on[path]

    monkeypatch.setattr(mounts_module, "images_below", lambda device: images.get(device, []))
    monkeypatch.setattr(mounts_module, "device_of", holding)
    inner = Mount("/inner", "7:1", "xfs", 3)
    _require_no_image_within([inner, Mount("/other", "259:9", "xfs", 4)])
    for order in (1, -1):
        with pytest.raises(
            UnfitMountError, match=r"^/inner lies in /.*/image, which is on /outer:"
        ):
            _require_no_image_within([inner, Mount("/outer", outer, "xfs", 4)][::order])
