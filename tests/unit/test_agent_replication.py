"""What was stopped stays on record until it is started."""

from dataclasses import replace
from pathlib import Path

import pytest

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config, load
from holdstill_agent.hold import Hold
from holdstill_agent.replica import dialect
from holdstill_agent.replication import Replication
from holdstill_agent.unfinished import Undo, Unfinished
from tests.unit.hold.fake_host import FakeDatabase, World

EXAMPLE = Path(__file__).parents[2] / "agent" / "agent.example.toml"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Return the configuration of a host whose server is down."""
    return replace(load(EXAMPLE), option_file=str(tmp_path / "none"), state_dir=str(tmp_path))


def test_nothing_stopped_is_nothing_to_start(config: Config) -> None:
    """The ordinary case costs no connection."""
    assert Replication(config).resume() is None


@pytest.mark.parametrize("note", ['["", "other"]', "noise", "", '{"no": "list"}'])
def test_what_cannot_be_started_yet_is_tried_again(config: Config, note: str) -> None:
    """With the server down the record stays, and the time of the next trial is known."""
    unfinished = Unfinished(config.state_dir)
    unfinished.begin("r.1", Undo.START_REPLICATION, note)
    noted: list[str] = []
    hold = Hold(config, note=lambda name, **_: noted.append(name))
    for _ in hold.undo(lambda _: True):
        pass
    assert noted == ["replication-started"]
    assert hold.undo_again_at_ms
    assert hold.undo_again_at_ms > monotonic_ms()
    assert [one.what for one in unfinished.pending()] == [Undo.START_REPLICATION]


@pytest.mark.parametrize(
    ("version", "is_mariadb", "statement"),
    [
        ("10.11.19-MariaDB", True, "STOP SLAVE 'it''s' SQL_THREAD"),
        ("8.0.21", False, "STOP SLAVE SQL_THREAD FOR CHANNEL 'it''s'"),
        ("8.0.22", False, "STOP REPLICA SQL_THREAD FOR CHANNEL 'it''s'"),
        ("9.7.4-2", False, "STOP REPLICA SQL_THREAD FOR CHANNEL 'it''s'"),
    ],
)
def test_each_server_is_spoken_to_in_its_words(
    version: str, is_mariadb: bool, statement: str
) -> None:
    """MySQL 8.4 no longer knows slaves; MariaDB names a channel before what it stops."""
    database = FakeDatabase(World())
    database.version, database.is_mariadb = version, is_mariadb
    assert dialect(database).command("STOP", "it's") == statement
