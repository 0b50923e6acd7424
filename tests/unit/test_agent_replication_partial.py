"""Of several channels each is started for itself, and what stays stopped stays on record."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config, load
from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError, LockFailedError
from holdstill_agent.replication import Replication
from holdstill_agent.unfinished import Deed, Undo, Unfinished

EXAMPLE = Path(__file__).parents[2] / "agent" / "agent.example.toml"


@dataclass
class Replica:
    """A MariaDB that replicates from several sources. `broken`: those that do not start."""

    runs: dict[str, bool]
    broken: set[str] = field(default_factory=set)
    stopping: threading.Event = field(default_factory=threading.Event)
    may_stop: threading.Event = field(default_factory=threading.Event)
    temporary_tables: int = 0

    def __post_init__(self) -> None:
        self.may_stop.set()


class Session(Database):
    """Obeys, until its first error."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._open = True
        self.version, self.is_mariadb = "10.11.19-MariaDB", True
        self.replicates, self.applies_in_parallel = True, False

    def _execute(self, statement: str) -> tuple[list[str], Sequence[tuple[Any, ...]]]:
        assert self._open, f"{statement} on a closed session"
        match statement.split():
            case ["START", "SLAVE", quoted, "SQL_THREAD"]:
                name = quoted.strip("'")
                if name in self._replica.broken:
                    self.close()
                    raise LockFailedError(f"{name}'s relay log cannot be read")
                self._replica.runs[name] = True
            case ["STOP", "SLAVE", quoted, "SQL_THREAD"]:
                self._replica.stopping.set()
                assert self._replica.may_stop.wait(10)
                self._replica.runs[quoted.strip("'")] = False
            case ["SHOW", "ALL", *_]:
                names = ["Connection_name", "Master_Host", "Master_Port", "Slave_SQL_Running"]
                names += ["Relay_Master_Log_File", "Exec_Master_Log_Pos"]
                rows = [
                    (name, "source", 3306, "Yes" if runs else "No", "binlog.000001", 4)
                    for name, runs in self._replica.runs.items()
                ]
                return names, rows
            case ["SELECT", *_]:
                return ["gtid"], [("",)]
            case ["SHOW", "GRANTS"]:
                return ["grant"], [("GRANT SUPER ON *.* TO `holdstill`@`localhost`",)]
            case ["SHOW", "GLOBAL", *_]:
                return ["name", "value"], [
                    ("Slave_open_temp_tables", self._replica.temporary_tables)
                ]
        return [], []

    def answer_by(self, until_ms: int) -> None:
        """Do nothing: it answers at once."""

    def close(self) -> None:
        """End it."""
        self._open = False


@pytest.fixture
def replica(monkeypatch: pytest.MonkeyPatch) -> Replica:
    """Return a replica of three sources, to which every connection goes."""
    replica = Replica({"": True, "orders": True, "stock": True})
    monkeypatch.setattr(Database, "connect", lambda *_: Session(replica))
    return replica


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Return a configuration with a record of its own."""
    return replace(load(EXAMPLE), state_dir=str(tmp_path))


def _pause(config: Config, replica: Replica, run_id: str = "r.1") -> str:
    until_ms = monotonic_ms() + 10_000
    return Replication(config).pause(Session(replica), run_id, until_ms, lambda _: True)


def _recorded(config: Config) -> list[str]:
    (deed,) = Unfinished(config.state_dir).pending()
    names: list[str] = json.loads(deed.note)
    return names


def test_one_channel_that_fails_leaves_no_other_stopped(config: Config, replica: Replica) -> None:
    """All are tried, every failure is told, and what stays on record is started once it can be."""
    _pause(config, replica)
    assert not any(replica.runs.values())
    replica.broken = {"", "orders"}
    started = Replication(config).resume()
    assert replica.runs == {"": False, "orders": False, "stock": True}
    assert started
    assert started.failure
    assert "channel ''" in started.failure
    assert "channel 'orders': orders's relay log cannot be read" in started.failure
    assert _recorded(config) == ["", "orders"]
    replica.runs["stock"] = False  # by its operator, meanwhile
    replica.broken.clear()
    started = Replication(config).resume()
    assert started
    assert started.failure is None
    assert replica.runs == {"": True, "orders": True, "stock": False}
    assert Unfinished(config.state_dir).pending() == ()


def test_pause_is_refused_while_another_is_to_be_undone(config: Config, replica: Replica) -> None:
    """Its record would replace the other's, whose channels nobody would start then."""
    replica.runs["stock"] = False
    _pause(config, replica)
    replica.runs["stock"] = True
    replica.broken = {"orders"}
    Replication(config).resume()
    with pytest.raises(CheckFailedError, match=r"still stopped by run r\.1"):
        _pause(config, replica, "r.2")
    assert replica.runs == {"": True, "orders": False, "stock": True}
    assert Unfinished(config.state_dir).pending() == (
        Deed(Undo.START_REPLICATION, "r.1", '["orders"]'),
    )


def test_pause_given_up_stops_no_further_channel(config: Config, replica: Replica) -> None:
    """The STOP that hangs cannot be taken back; the channels behind it go on."""
    replica.may_stop.clear()
    before = set(threading.enumerate())
    with pytest.raises(CheckFailedError, match="no longer wanted"):
        Replication(config).pause(
            Session(replica),
            "r.1",
            monotonic_ms() + 10_000,
            lambda _: not replica.stopping.is_set(),
        )
    left = set(threading.enumerate()) - before
    assert left, "the stopper has ended already: the proof is empty"
    replica.may_stop.set()
    for thread in left:
        thread.join(10)
    assert replica.runs == {"": False, "orders": True, "stock": True}
    assert _recorded(config) == ["", "orders", "stock"]
    Replication(config).resume()
    assert all(replica.runs.values())


def test_removed_channel_is_not_waited_for(config: Config, replica: Replica) -> None:
    """Else a record that can never be done with would refuse every backup."""
    _pause(config, replica)
    del replica.runs["orders"]
    started = Replication(config).resume()
    assert started
    assert started.failure is None
    assert replica.runs == {"": True, "stock": True}
    assert Unfinished(config.state_dir).pending() == ()


def test_channel_not_started_for_the_temporary_tables_is_told(
    config: Config, replica: Replica
) -> None:
    """Replication goes on as far as it can while the pause waits for them, and is on record."""
    replica.temporary_tables = 1
    replica.broken = {"orders"}
    with pytest.raises(CheckFailedError, match="channel 'orders'"):
        _pause(config, replica)
    assert replica.runs == {"": True, "orders": False, "stock": True}
    assert "orders" in _recorded(config)


def test_record_has_room_for_all_names(tmp_path: Path) -> None:
    """As many channels as MySQL has, with the longest names."""
    names = [f"{number:03}" + "\N{SNOWMAN}" * 61 for number in range(256)]
    unfinished = Unfinished(str(tmp_path))
    unfinished.begin("r.1", Undo.START_REPLICATION, json.dumps(names))
    (deed,) = unfinished.pending()
    assert json.loads(deed.note) == names


def test_channels_that_hang_cost_no_more_than_their_time_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, replica: Replica
) -> None:
    """The watchdog hears nothing meanwhile; those that were not reached come first next time."""
    now_ms, tried = [0], []

    def hang(_: Replication, name: str) -> None:
        now_ms[0] += 2000
        tried.append(name)
        raise LockFailedError("no answer")

    replica.runs = {f"channel-{n}": False for n in range(6)}
    monkeypatch.setattr("holdstill_agent.replication.monotonic_ms", lambda: now_ms[0])
    monkeypatch.setattr(Replication, "_start_one", hang)
    config = replace(load(EXAMPLE), state_dir=str(tmp_path))
    Unfinished(config.state_dir).begin(
        "run-1", Undo.START_REPLICATION, json.dumps(list(replica.runs))
    )
    for _ in range(2):
        started = Replication(config).resume()
        assert started is not None
        assert started.failure
    assert now_ms[0] == 12_000
    assert tried == list(replica.runs)
