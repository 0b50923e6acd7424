"""From a mount down to its EBS volumes, on the trees of block_trees/: by sysfs, and by lsblk."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from holdstill_agent.config import MountConfig
from holdstill_agent.errors import CheckFailedError
from holdstill_agent.mountinfo import Mounts
from holdstill_agent.volumes import find_volumes

TREES = sorted((Path(__file__).parent / "block_trees").glob("*.json"))
_LINK = "-> "


@pytest.fixture(params=TREES, ids=lambda path: path.stem)
def tree(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return one host: its mounts, its sysfs, what lsblk says, and what is right."""
    document: dict[str, Any] = json.loads(request.param.read_text())
    return document


def _grow(root: Path, sysfs: dict[str, str], *, without: str = "") -> Path:
    """Make the files and links of a sysfs below `root`."""
    for name, content in sysfs.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith(_LINK):
            path.symlink_to(content.removeprefix(_LINK))
        elif path.name != without:
            path.write_text(content)
    return root


def _find(tree: dict[str, Any], sysfs: Path, lsblk: str) -> tuple[str, ...]:
    mount = MountConfig("/var/lib/mysql", tuple(tree["configured"]))
    mounted = Mounts("\n".join(tree["mountinfo"]))
    udev = _grow(sysfs / "udev", tree.get("udev", {}))
    return find_volumes((mount,), mounted, sysfs, lambda: lsblk, udev=udev)


def _holds(tree: dict[str, Any], sysfs: Path, lsblk: str) -> None:
    if "volumes" in tree:
        assert sorted(_find(tree, sysfs, lsblk)) == sorted(tree["volumes"])
        return
    with pytest.raises(CheckFailedError) as caught:
        _find(tree, sysfs, lsblk)
    assert re.search(tree["refused"], str(caught.value)), caught.value


def test_sysfs_alone_is_enough(tmp_path: Path, tree: dict[str, Any]) -> None:
    """Where there is no lsblk nothing is missing: the volumes, or the refusal with its reason."""
    _holds(tree, _grow(tmp_path, tree["sysfs"]), "")


def test_lsblk_tells_what_sysfs_does_not(tmp_path: Path, tree: dict[str, Any]) -> None:
    """With no serial in sysfs, as old kernels show none, lsblk's are as good."""
    sysfs = _grow(tmp_path, tree["sysfs"], without="serial")
    _holds(tree, sysfs, json.dumps(tree["lsblk"]))


@pytest.mark.parametrize("lsblk", ["", "{", "[]", '{"blockdevices": [{}]}', '{"blockdevices": 7}'])
def test_broken_lsblk_decides_nothing(tmp_path: Path, lsblk: str) -> None:
    """Without a serial from either, it is refused, not guessed."""
    tree = json.loads((Path(__file__).parent / "block_trees" / "nitro.json").read_text())
    sysfs = _grow(tmp_path, tree["sysfs"], without="serial")
    with pytest.raises(CheckFailedError, match="write volumes ="):
        _find(tree, sysfs, lsblk)
