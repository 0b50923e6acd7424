"""Single checks of the pre-flight, with a database that says where it writes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdstill_agent.config import Config, MountConfig, load
from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError
from holdstill_agent.mountinfo import Mounts
from holdstill_agent.preflight.mounts import require_mounts
from holdstill_agent.preflight.own import require_own_files_elsewhere, require_room
from holdstill_agent.preflight.server import (
    require_files_on_mounts,
    require_lasting_session,
    require_no_general_log,
)
from holdstill_agent.preflight.stillness import count_writes, still

EXAMPLE = Path(__file__).parents[2] / "agent" / "agent.example.toml"
ROOT = "1 0 8:1 / / rw - ext4 /dev/sda1 rw"
DATA = "2 1 259:3 / /var/lib/mysql rw - xfs /dev/nvme1n1 rw"


class FakeDatabase(Database):
    """Answers SHOW GLOBAL VARIABLES with those of its own that are asked for."""

    def __init__(self, variables: dict[str, str]) -> None:
        self._variables = variables

    def execute(self, statement: str) -> Sequence[tuple[Any, ...]]:
        """Answer."""
        if statement == "SELECT @@SESSION.wait_timeout":
            return [(int(self._variables["wait_timeout"]),)]
        assert statement.startswith("SHOW GLOBAL VARIABLES WHERE Variable_name IN (")
        return [(name, value) for name, value in self._variables.items() if repr(name) in statement]


def _config(*paths: str, **changes: Any) -> Config:
    mounts = tuple(MountConfig(path) for path in paths or ("/var/lib/mysql",))
    return replace(load(EXAMPLE), mounts=mounts, **changes)


def _files(folder: Path, **variables: str) -> str | None:
    """Look at the database's files, with `folder` the only mount."""
    database = FakeDatabase({"datadir": f"{folder}/data/", **variables})
    return require_files_on_mounts(_config(str(folder)), database, Mounts.now())


def test_database_wholly_on_the_mounts_passes(tmp_path: Path) -> None:
    """What is empty, relative to the data or below a mount is held; tmpdir may be anywhere."""
    assert _files(
        tmp_path,
        log_bin_basename=f"{tmp_path}/binlogs/binlog",
        innodb_undo_directory="./",
        innodb_data_home_dir="",
        innodb_data_file_path="ibdata1:12M;ibdata2:10M:autoextend:max:1G",
        innodb_directories="",
        tmpdir="/elsewhere",
    )


@pytest.mark.parametrize("place", ["/elsewhere", "../../elsewhere"])
@pytest.mark.parametrize(
    "variable",
    [
        "log_bin_basename",
        "log_bin_index",
        "relay_log_basename",
        "relay_log_index",
        "relay_log_info_file",
        "innodb_log_group_home_dir",
        "innodb_data_home_dir",
        "innodb_undo_directory",
        "innodb_doublewrite_dir",
        "innodb_directories",
        "innodb_data_file_path",
        "aria_log_dir_path",
        "rocksdb_datadir",
        "rocksdb_wal_dir",
    ],
)
def test_any_file_elsewhere_fails(tmp_path: Path, variable: str, place: str) -> None:
    """A log of whatever kind on another filesystem makes the copy one of half the database."""
    with pytest.raises(CheckFailedError, match=f"^{variable}: .*elsewhere is on none of"):
        _files(tmp_path, **{variable: place})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("innodb_data_file_path", "ibdata1:12M;/elsewhere:2G:autoextend"),
        ("innodb_directories", "./more;/elsewhere"),
        ("innodb_directories", "'/elsewhere'"),
    ],
)
def test_one_of_several_paths_elsewhere_fails(tmp_path: Path, variable: str, value: str) -> None:
    """Sizes, quotes and neighbours hide no path."""
    with pytest.raises(CheckFailedError, match=f"^{variable}: /elsewhere is on none of"):
        _files(tmp_path, **{variable: value})


def test_data_files_are_below_their_home(tmp_path: Path) -> None:
    """A relative data file lies in innodb_data_home_dir, wherever the data directory is."""
    home = f"{tmp_path}/innodb"
    assert _files(tmp_path, innodb_data_home_dir=home, innodb_data_file_path="../ibdata1:12M")
    with pytest.raises(CheckFailedError, match=r"innodb_data_file_path: .*ibdata1"):
        _files(tmp_path, innodb_data_home_dir=home, innodb_data_file_path="../../ibdata1:12M")


def test_every_file_elsewhere_is_named_at_once(tmp_path: Path) -> None:
    """An operator mends the mounts once, not once a directory."""
    with pytest.raises(CheckFailedError, match="log_bin_basename: /x/log, aria_log_dir_path: /y"):
        _files(tmp_path, log_bin_basename="/x/log", aria_log_dir_path="/y")


def _general_log(**variables: str) -> str:
    server = {"datadir": "/var/lib/mysql/", "general_log_file": "host.log", **variables}
    mounted = Mounts(f"{ROOT}\n{DATA}")
    return require_no_general_log(_config(), FakeDatabase(server), mounted)


@pytest.mark.parametrize(
    ("output", "file"),
    [
        ("FILE", "host.log"),
        ("FILE", "/var/lib/mysql/host.log"),
        ("TABLE", "/var/log/general.log"),
        ("FILE,TABLE", "/var/log/general.log"),
    ],
)
def test_general_log_on_a_mount_is_refused(output: str, file: str) -> None:
    """It would make every statement of every session wait for the thaw."""
    with pytest.raises(CheckFailedError, match="SET GLOBAL general_log = OFF"):
        _general_log(general_log="ON", log_output=output, general_log_file=file)


@pytest.mark.parametrize(
    ("log", "output", "file"),
    [
        ("OFF", "FILE", "host.log"),
        ("ON", "NONE", "host.log"),
        ("ON", "FILE", "/var/log/general.log"),
    ],
)
def test_general_log_elsewhere_is_no_matter(log: str, output: str, file: str) -> None:
    """Off, thrown away, or on another filesystem it holds nobody."""
    assert _general_log(general_log=log, log_output=output, general_log_file=file)


@pytest.mark.parametrize(("idle_s", "passes"), [(28800, True), (70, True), (69, False)])
def test_session_must_outlive_a_run(idle_s: int, passes: bool) -> None:
    """60 s from prepared to freeze, and the budget: a session that ends earlier loses its lock."""
    database = FakeDatabase({"wait_timeout": str(idle_s)})
    if passes:
        assert require_lasting_session(_config(), database)
        return
    with pytest.raises(CheckFailedError, match=r"after 69 s.* a run needs 70: raise maximum-wait"):
        require_lasting_session(_config(), database)


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("state_dir", "/var/lib/mysql/holdstill"),
        ("run_dir", "/var/lib/mysql"),
        ("freezer_socket", "/var/lib/mysql/freezer.sock"),
        ("path", Path("/var/lib/mysql/agent.toml")),
        ("path", Path("/srv/again/agent.toml")),  # a bind mount: the same filesystem
    ],
)
def test_own_file_on_a_mount_is_refused(key: str, place: object) -> None:
    """The agent and the freezer must not wait for the thaw that is theirs to make."""
    bind = "3 1 259:3 /part /srv/again rw - xfs /dev/nvme1n1 rw"
    mounted = Mounts(f"{ROOT}\n{DATA}\n{bind}")
    assert require_own_files_elsewhere(_config(), mounted)
    with pytest.raises(CheckFailedError, match=f"{place} is on /var/lib/mysql.*move it"):
        require_own_files_elsewhere(_config(**{key: place}), mounted)


def test_temporary_files_on_a_mount_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """TMPDIR counts: whatever uses a temporary file while frozen would hang."""
    monkeypatch.setenv("TMPDIR", "/var/lib/mysql/tmp")
    with pytest.raises(CheckFailedError, match=r"TMPDIR\) /var/lib/mysql/tmp is on /var/lib/mysql"):
        require_own_files_elsewhere(_config(), Mounts(f"{ROOT}\n{DATA}"))


def test_state_needs_a_directory_of_its_own(tmp_path: Path) -> None:
    """Missing, it is to be made by whoever installs: a check that makes it would own it."""
    config = _config(state_dir=str(tmp_path / "state"), run_dir=str(tmp_path / "not" / "yet"))
    with pytest.raises(CheckFailedError, match=r"is no directory: make it.*install -d"):
        require_room(config)
    (tmp_path / "state").mkdir()
    assert str(tmp_path) in require_room(config)


@pytest.mark.parametrize(
    ("mountinfo", "freeze", "told"),
    [
        (ROOT, False, "is no mount point, it is part of /: mount"),
        (f"{ROOT}\n{DATA}\n3 2 7:1 / /var/lib/mysql rw - xfs /dev/loop1 rw", True, "mounted twice"),
        (f"{ROOT}\n{DATA}\n3 2 7:1 / /var/lib/mysql rw - xfs /dev/loop1 rw", False, "loop1 over"),
    ],
)
def test_unclear_mount_is_refused(mountinfo: str, freeze: bool, told: str) -> None:
    """What is not seen at its path, or not mounted at all, would be another snapshot."""
    with pytest.raises(CheckFailedError, match=told):
        require_mounts(_config(freeze=freeze), Mounts(mountinfo))


def test_mount_is_named_with_what_it_shows() -> None:
    """Mounted again over itself it is the same filesystem, and fine."""
    mounted = Mounts(f"{ROOT}\n{DATA}\n3 2 259:3 / /var/lib/mysql rw - xfs /dev/nvme1n1 rw")
    found = require_mounts(_config(freeze=False), mounted)
    assert found == "/var/lib/mysql is xfs on /dev/nvme1n1"


@pytest.mark.parametrize(("after", "unproven"), [("17", True), ("18", False), (None, True)])
def test_write_proves_that_nothing_is_frozen(
    tmp_path: Path, after: str | None, unproven: bool
) -> None:
    """Only a device whose count of writes has grown is certainly not frozen."""
    stat = tmp_path / "dev/block/259:3/stat"
    stat.parent.mkdir(parents=True)
    mounted = Mounts(f"{ROOT}\n{DATA}")

    def count(writes: str) -> dict[str, int | None]:
        stat.write_text(f"  9 9 9 9 {writes} 9 9 9 9 9 9\n")
        return count_writes(_config(), mounted, tmp_path)

    before = count("17")
    assert before == {"/var/lib/mysql": 17}
    if after is None:
        stat.unlink()
    later = count(after) if after else count_writes(_config(), mounted, tmp_path)
    assert still(before, later) == (("/var/lib/mysql",) if unproven else ())


@pytest.mark.parametrize("name", ["\udcff", "\x0b", "\x85", "\u2028"])
def test_odd_mount_points_disturb_nobody(name: str) -> None:
    """Only a newline ends a line of mountinfo: a path is any other bytes."""
    odd = f"2 1 0:9 / /media/{name} rw - none"
    assert Mounts(f"{ROOT}\n{odd}\n").holding(f"/media/{name}/file").device == "0:9"
