"""Single checks of the pre-flight, with a database that says where it writes."""

import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pymysql
import pytest

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config, MountConfig, load
from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError, FreezeFailedError, LockFailedError
from holdstill_agent.freezer import Freezer, ThawReport
from holdstill_agent.mountinfo import Mounts
from holdstill_agent.preflight import Preflight
from holdstill_agent.preflight.mounts import require_mounts, require_same_mounts
from holdstill_agent.preflight.own import require_own_files_elsewhere, require_room
from holdstill_agent.preflight.place import require_this_host
from holdstill_agent.preflight.server import (
    require_files_on_mounts,
    require_lasting_session,
    require_no_general_log,
)
from holdstill_agent.preflight.stillness import count_writes, rehearse, still
from holdstill_protocol.messages import Lock

EXAMPLE = Path(__file__).parents[2] / "agent" / "agent.example.toml"
ROOT = "1 0 8:1 / / rw - ext4 /dev/sda1 rw"
DATA = "2 1 259:3 / /var/lib/mysql rw - xfs /dev/nvme1n1 rw"
ABOVE = "3 1 7:1 / /var/lib rw - xfs /dev/loop1 rw"
AUTOMOUNT = "4 1 0:50 / /var/lib/mysql rw - autofs systemd-1 rw"
LOGS = "5 1 259:4 / /var/log/mysql rw - xfs /dev/nvme2n1 rw"


class FakeDatabase(Database):
    """Answers SHOW GLOBAL VARIABLES with those of its own that are asked for, and a few more."""

    def __init__(self, variables: dict[str, str]) -> None:
        self._variables = variables
        self.granted = "RELOAD, PROCESS"
        self.tablespaces: dict[str, list[str]] = {}
        self.reached_at: tuple[str, str] | None = None

    def addresses(self) -> tuple[str, str] | None:
        """Return where it was reached."""
        return self.reached_at

    def execute(self, statement: str) -> Sequence[tuple[Any, ...]]:
        """Answer."""
        if statement == "SHOW GRANTS":
            return [(f"GRANT {self.granted} ON *.* TO `holdstill`@`localhost`",)]
        if statement == "SELECT CURRENT_USER()":
            return [("holdstill@localhost",)]
        if "information_schema.COLUMNS" in statement:
            return [(table,) for table in self.tablespaces]
        if "FROM information_schema." in statement:
            ((table, files),) = list(self.tablespaces.items())[:1]
            assert f"FROM information_schema.{table} " in statement
            return [(file,) for file in files]
        if statement == "SELECT @@hostname":
            return [(self._variables["hostname"],)]
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
        (f"{ROOT}\n{DATA}\n{ABOVE}", True, "loop1 was mounted over /var/lib later.*nvme1n1, which"),
        (f"{ROOT}\n{DATA}\n{ABOVE}", False, "is hidden: /dev/loop1 was mounted over /var/lib"),
        (
            f"{ROOT}\n{AUTOMOUNT}",
            True,
            r"is not mounted yet.*look into it as root \(ls /var/lib/my",
        ),
        (f"{ROOT}\n{AUTOMOUNT}", False, "x-systemd.automount"),
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


def test_automounted_filesystem_passes() -> None:
    """An automount point below it is no second filesystem."""
    mounted = Mounts(f"{ROOT}\n{AUTOMOUNT}\n6 4 259:3 / /var/lib/mysql rw - xfs /dev/nvme1n1 rw")
    assert require_mounts(_config(), mounted) == "/var/lib/mysql is xfs on /dev/nvme1n1"


@pytest.mark.parametrize(
    ("devices", "passes"),
    [
        (("259:3",), False),
        (("259:3", "259:4"), True),
        (("259:4", "259:3"), False),
        (("259:3", "259:5"), False),
        (("259:3", "259:4", "259:5"), False),
    ],
)
def test_freezer_must_freeze_what_the_agent_reports(devices: tuple[str, ...], passes: bool) -> None:
    """Another list in the agent.toml of today would leave a volume of the set unfrozen."""
    config = _config("/var/lib/mysql", "/var/log/mysql")
    mounted = Mounts(f"{ROOT}\n{DATA}\n{LOGS}")
    if passes:
        require_same_mounts(config, mounted, devices)
        return
    with pytest.raises(CheckFailedError, match=r"/var/log/mysql \(259:4\): restart the agent"):
        require_same_mounts(config, mounted, devices)


def test_only_a_stand_in_may_say_no_device() -> None:
    """It freezes nothing and takes what is no mount point; a freezer that names one freezes it."""
    folder = _config("/home/demo/volume")
    require_same_mounts(folder, Mounts(ROOT), ())
    with pytest.raises(CheckFailedError, match=r"volume \(no mount point\): restart the agent"):
        require_same_mounts(folder, Mounts(ROOT), ("259:3",))
    with pytest.raises(CheckFailedError, match="older release"):
        require_same_mounts(_config("/var/lib/mysql", "/home/demo"), Mounts(f"{ROOT}\n{DATA}"), ())


@pytest.mark.parametrize(
    "unseen", [AUTOMOUNT, f"{DATA}\n{ABOVE}"], ids=["automount", "hidden from above"]
)
def test_mount_that_is_not_seen_is_refused_once(unseen: str) -> None:
    """By its own name, with its own advice: to restart the agent would not help."""
    mounted = Mounts(f"{ROOT}\n{unseen}")
    require_same_mounts(_config(), mounted, ("259:3",))
    with pytest.raises(CheckFailedError):
        require_mounts(_config(), mounted)


def test_volumes_of_an_unseen_mount_are_not_looked_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They would be those of what lies below, with an advice that is none."""
    monkeypatch.setattr(Mounts, "now", lambda: Mounts(f"{ROOT}\n{AUTOMOUNT}"))
    config = _config(lock=Lock.NONE, freeze=False, state_dir=str(tmp_path))
    preflight = Preflight(config, monotonic_ms() + 1000, lambda _: True)
    preflight.run()
    assert [one.name for one in preflight.checks if not one.passed] == ["mounts"]


class FakeFreezer(Freezer):
    """Freezes nothing, and says of its thaw what it is told to."""

    def __init__(self, report: ThawReport | None) -> None:
        line, self.client = socket.socketpair()
        super().__init__(line, None)
        self._report = report

    def freeze(self, *_: object) -> int:
        """Freeze."""
        return 1600

    def thaw(self, *_: object) -> ThawReport | None:
        """Thaw, or not."""
        return self._report


@pytest.mark.parametrize(
    ("report", "told"),
    [
        (ThawReport("commanded", intact=True, held_ms=1), ""),
        (None, "it says nothing of it"),
        (ThawReport("deadline", intact=True, held_ms=10_000), "deadline, after 10000 ms"),
        (ThawReport("commanded", intact=False, held_ms=1), "somebody else thawed it"),
    ],
)
def test_rehearsal_that_is_not_thawed_when_told_costs_the_run(
    monkeypatch: pytest.MonkeyPatch, report: ThawReport | None, told: str
) -> None:
    """What goes wrong without the lock would go wrong under it."""
    fresh = FakeFreezer(None)
    monkeypatch.setattr(Freezer, "start", lambda _config: fresh)
    tried = FakeFreezer(report)
    tried.client.close()
    fresh.client.close()
    if told:
        with pytest.raises(FreezeFailedError, match=told):
            rehearse(tried, _config(), "run-1", lambda _: True)
    else:
        assert rehearse(tried, _config(), "run-1", lambda _: True)[0] is fresh
    for freezer in (tried, fresh):
        freezer.close()
        freezer.reap()


@pytest.mark.parametrize("changed", ["before", "meanwhile"])
def test_each_freezer_is_compared(monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    """The one that is started after a rehearsal has read agent.toml anew, as the first did."""
    said = {"before": ["7:1"], "meanwhile": ["259:3", "7:1"]}[changed]

    def start(_config: Config) -> FakeFreezer:
        freezer = FakeFreezer(ThawReport("commanded", intact=True, held_ms=1))
        freezer.client.close()
        freezer.budget_ms, freezer.devices = 10_000, (said.pop(0),)
        return freezer

    monkeypatch.setattr(Freezer, "start", start)
    monkeypatch.setattr(Freezer, "sync", lambda *_: 1)
    monkeypatch.setattr(Mounts, "now", lambda: Mounts(f"{ROOT}\n{DATA}"))
    monkeypatch.setattr("holdstill_agent.preflight.find_volumes", lambda *_: ("vol-1",))
    monkeypatch.setattr("holdstill_agent.preflight.count_writes", lambda *_: {"/var/lib/mysql": 1})
    preflight = Preflight(
        _config(lock=Lock.NONE, state_dir="/tmp"),  # noqa: S108 - only looked at
        monotonic_ms() + 1000,
        lambda _: True,
        "run-1",
    )
    preflight.run()
    preflight.close()
    assert preflight.freezer
    preflight.freezer.reap()
    failed = [one.name for one in preflight.checks if not one.passed and "restart" in one.detail]
    assert failed == [{"before": "freezer", "meanwhile": "not frozen"}[changed]], preflight.checks
    assert preflight.code


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


@pytest.mark.parametrize("table", ["INNODB_SYS_TABLESPACES", "INNODB_SYS_DATAFILES", "FILES"])
def test_tablespace_elsewhere_is_named(tmp_path: Path, table: str) -> None:
    """DATA DIRECTORY puts a table where no variable tells; one file of each folder is named."""
    database = FakeDatabase({"datadir": f"{tmp_path}/data/"})
    held = [f"{tmp_path}/big/shop/held.ibd", "../more/shop/held.ibd"]
    database.tablespaces = {table: held}
    assert require_files_on_mounts(_config(str(tmp_path)), database, Mounts.now())
    strays = ["/elsewhere/shop/orders.ibd", "/elsewhere/shop/parts.ibd", "../../../more.ibd"]
    database.tablespaces = {table: [*held, *strays]}
    with pytest.raises(CheckFailedError) as caught:
        require_files_on_mounts(_config(str(tmp_path)), database, Mounts.now())
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
        require_files_on_mounts(_config(str(tmp_path)), database, Mounts.now())


def test_thousand_strays_are_told_in_brief(tmp_path: Path) -> None:
    """A refusal is for a person, and goes through a queue."""
    database = FakeDatabase({"datadir": f"{tmp_path}/data/"})
    database.tablespaces = {"FILES": [f"/elsewhere/{index}/a.ibd" for index in range(1000)]}
    with pytest.raises(CheckFailedError, match="and 980 more is on none"):
        require_files_on_mounts(_config(str(tmp_path)), database, Mounts.now())


HERE = socket.gethostname()


@pytest.mark.parametrize(
    ("addresses", "hostname", "refusal"),
    [
        (None, "another", None),
        (("127.0.0.1", "127.0.0.1"), HERE, None),
        (("127.0.0.1", "127.0.0.2"), HERE, None),
        (("::1", "::1"), HERE, None),
        (("10.0.0.5", "10.0.0.5"), HERE, None),
        (("fe80::1%eth0", "fe80::1%eth0"), HERE, None),
        (("10.0.0.5", "10.0.0.9"), HERE, "10.0.0.9, which is no address of this host"),
        (("127.0.0.1", "127.0.0.1"), "another", "calls its host another, and this one is"),
        (("10.0.0.5", "10.0.0.5"), "0123456789ab", "in a container; .* write `socket`"),
    ],
)
def test_server_must_be_on_this_host(
    addresses: tuple[str, str] | None, hostname: str, refusal: str | None
) -> None:
    """A primary, locked for its replica's disk, has the same paths and proves nothing."""
    database = FakeDatabase({"hostname": hostname})
    database.reached_at = addresses
    if refusal is None:
        require_this_host(database)
        return
    with pytest.raises(CheckFailedError, match=refusal):
        require_this_host(database)


@pytest.mark.parametrize(
    ("lines", "disabled"),
    [
        ("socket = /run/mysqld.sock", True),
        ("socket = /run/mysqld.sock\nssl-ca = /etc/ca.pem", False),
        ("host = 127.0.0.1", False),
        ("", False),
    ],
)
def test_tls_is_spoken_where_it_protects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, disabled: bool
) -> None:
    """Not through a socket, unless it was asked for; over TCP as PyMySQL does."""
    asked: dict[str, Any] = {}

    def connect(**options: Any) -> None:
        asked.update(options)
        raise OSError("that is all")

    monkeypatch.setattr(pymysql, "connect", connect)
    option_file = tmp_path / "mysql.cnf"
    option_file.write_text(f"[client]\nuser = holdstill\n{lines}\n")
    with pytest.raises(LockFailedError):
        Database.connect(str(option_file), 1)
    assert asked["ssl_disabled"] is disabled
