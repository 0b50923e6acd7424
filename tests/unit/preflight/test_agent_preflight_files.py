"""Every file of the database is on the mounts, whatever variable or tablespace names it."""

from pathlib import Path

import pytest

from holdstill_agent.errors import CheckFailedError
from holdstill_agent.mountinfo import Mounts
from holdstill_agent.preflight.server import require_files_on_mounts
from tests.unit.preflight.told_host import FakeDatabase, configured


def _files(folder: Path, **variables: str) -> str | None:
    """Look at the database's files, with `folder` the only mount."""
    database = FakeDatabase({"datadir": f"{folder}/data/", **variables})
    return require_files_on_mounts(configured(str(folder)), database, Mounts.now())


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


@pytest.mark.parametrize("table", ["INNODB_SYS_TABLESPACES", "INNODB_SYS_DATAFILES", "FILES"])
def test_tablespace_elsewhere_is_named(tmp_path: Path, table: str) -> None:
    """DATA DIRECTORY puts a table where no variable tells; one file of each folder is named."""
    database = FakeDatabase({"datadir": f"{tmp_path}/data/"})
    held = [f"{tmp_path}/big/shop/held.ibd", "../more/shop/held.ibd"]
    database.tablespaces = {table: held}
    assert require_files_on_mounts(configured(str(tmp_path)), database, Mounts.now())
    strays = ["/elsewhere/shop/orders.ibd", "/elsewhere/shop/parts.ibd", "../../../more.ibd"]
    database.tablespaces = {table: [*held, *strays]}
    with pytest.raises(CheckFailedError) as caught:
        require_files_on_mounts(configured(str(tmp_path)), database, Mounts.now())
    assert "tablespace: /elsewhere/shop/parts.ibd" in str(caught.value)
    assert "more.ibd" in str(caught.value)
    assert "orders.ibd" not in str(caught.value)
    assert "held.ibd" not in str(caught.value)


def test_account_that_cannot_see_tablespaces_is_refused(tmp_path: Path) -> None:
    """What could not be looked at is never taken for sound: the GRANT is in the refusal."""
    database = FakeDatabase({"datadir": f"{tmp_path}/data/"})
    database.granted = "RELOAD"
    told = "cannot see where .* tablespaces are: GRANT PROCESS ON .* TO 'holdstill'@'localhost'"
    with pytest.raises(CheckFailedError, match=told):
        require_files_on_mounts(configured(str(tmp_path)), database, Mounts.now())


def test_thousand_strays_are_told_in_brief(tmp_path: Path) -> None:
    """A refusal is for a person, and goes through a queue."""
    database = FakeDatabase({"datadir": f"{tmp_path}/data/"})
    database.tablespaces = {"FILES": [f"/elsewhere/{index}/a.ibd" for index in range(1000)]}
    with pytest.raises(CheckFailedError, match="and 980 more is on none"):
        require_files_on_mounts(configured(str(tmp_path)), database, Mounts.now())
