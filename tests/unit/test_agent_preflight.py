"""Single checks of the pre-flight, with a database that says where it writes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import MountConfig, load
from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError
from holdstill_agent.mountinfo import Mounts
from holdstill_agent.preflight import Preflight

EXAMPLE = Path(__file__).parents[2] / "agent" / "agent.example.toml"
ROOT = "1 0 0:0 / / rw - none"


class FakeDatabase(Database):
    """Answers SHOW GLOBAL VARIABLES with those of its own that are asked for."""

    def __init__(self, variables: dict[str, str]) -> None:
        self._variables = variables

    def execute(self, statement: str) -> Sequence[tuple[Any, ...]]:
        """Answer."""
        assert statement.startswith("SHOW GLOBAL VARIABLES WHERE Variable_name IN (")
        return [(name, value) for name, value in self._variables.items() if repr(name) in statement]


def _check(folder: Path, **variables: str) -> str | None:
    """Look at the database's files, with `folder` the only mount."""
    config = replace(load(EXAMPLE), mounts=(MountConfig(str(folder)),))
    preflight = Preflight(config, monotonic_ms() + 1000, lambda _: True)
    preflight.database = FakeDatabase({"datadir": f"{folder}/data/", **variables})
    return preflight._database_files()


def test_database_wholly_on_the_mounts_passes(tmp_path: Path) -> None:
    """What is empty, relative to the data or below a mount is held; tmpdir may be anywhere."""
    assert _check(
        tmp_path,
        log_bin_basename=f"{tmp_path}/binlogs/binlog",
        innodb_undo_directory="./",
        innodb_data_home_dir="",
        tmpdir="/elsewhere",
    )


@pytest.mark.parametrize("place", ["/elsewhere", "../../elsewhere"])
@pytest.mark.parametrize(
    "variable",
    [
        "log_bin_basename",
        "relay_log_basename",
        "innodb_log_group_home_dir",
        "innodb_data_home_dir",
        "innodb_undo_directory",
        "innodb_doublewrite_dir",
        "aria_log_dir_path",
    ],
)
def test_any_file_elsewhere_fails(tmp_path: Path, variable: str, place: str) -> None:
    """A log of whatever kind on another filesystem makes the copy one of half the database."""
    with pytest.raises(CheckFailedError, match=f"^{variable}: .*elsewhere is on none of"):
        _check(tmp_path, **{variable: place})


@pytest.mark.parametrize("name", ["\udcff", "\x0b", "\x85", "\u2028"])
def test_odd_mount_points_disturb_nobody(name: str) -> None:
    """Only a newline ends a line of mountinfo: a path is any other bytes."""
    odd = f"2 1 0:9 / /media/{name} rw - none"
    assert Mounts(f"{ROOT}\n{odd}\n").holding(f"/media/{name}/file").device == "0:9"
