"""The small parts of the lab's host that decide what a measurement or a check says."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from holdstill_agent.config import parse
from lab.host import AgentConfig, gap_ms
from lab.host.acknowledged import Acknowledged, Journal, Moment
from lab.host.agent import AgentPaths, agent_toml
from lab.host.gate import NoGate
from lab.host.pair import PairPaths, PairWriter

MS = 1_000_000


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ((2, 3), 1),  # inside one gap
        ((2, 20), 10),  # the longest that overlaps, not only what lies inside
        ((15, 16), 10),  # the window within the gap
        ((21, 22), 1),
        ((21, 40), 17),  # still open at the end: counts up to the window's end
    ],
)
def test_gap_is_the_longest_that_overlaps(window: tuple[int, int], expected: int) -> None:
    """A stall counts in full even where the window holds only part of it."""
    samples = [at * MS for at in (1, 2, 3, 4, 8, 10, 20, 21, 22, 23)]
    assert gap_ms(samples, window[0] * MS, window[1] * MS) == expected


def test_gap_without_a_sample_before_is_refused() -> None:
    """No write before the window means that nothing was measured, not that nothing stalled."""
    with pytest.raises(ValueError, match="before the window"):
        gap_ms([5 * MS], 1 * MS, 9 * MS)


def test_acknowledged_bounds_a_copy() -> None:
    """What was acknowledged before the copy must be in it, what was begun after must not."""
    history = Acknowledged(((10, 11), (20, 25), (30, 31), (40, 41)))
    assert history.bounds(Moment(22, 23)) == (1, 2)
    assert history.bounds(Moment(26, 29)) == (2, 2)
    assert history.bounds(Moment(50, 60)) == (4, 5), "one may be on its way"
    assert history.bounds(None) == (0, 5)


def test_journal_is_read_while_it_grows(tmp_path: Path) -> None:
    """A record that is only half there is not there yet."""
    journal = Journal(tmp_path, "writer")
    journal.acknowledge(1)
    journal.acknowledge(2)
    with (tmp_path / "writer").open("ab") as half:
        half.write(b"half")
    assert [begun for begun, _ in Acknowledged.read(tmp_path, "writer").writes] == [1, 2]
    assert Acknowledged.read(tmp_path, "unknown").writes == ()


def test_torn_pair_is_an_error(tmp_path: Path) -> None:
    """A hole of zeros, as a crash leaves behind a size that was written early, is no record."""
    paths = PairPaths.on([tmp_path])
    writer = PairWriter(paths, NoGate(), sync=True)
    for _ in range(3):
        writer.write()
    assert paths.records() == (3, 3)
    with paths.first.open("r+b") as file:
        file.seek(16)
        file.write(bytes(16))
    with pytest.raises(ValueError, match="record 2"):
        paths.records()


def test_pair_spans_two_filesystems(tmp_path: Path) -> None:
    """With two volumes the pair holds only if both are copied at one instant."""
    paths = PairPaths.on([tmp_path / "one", tmp_path / "two"])
    assert paths.first.is_relative_to(tmp_path / "two")
    assert paths.second.is_relative_to(tmp_path / "one")


def test_agent_toml_is_what_was_said() -> None:
    """Every value comes back out of the TOML, and what was not given is left out."""
    config = AgentConfig(
        "recipes-db",
        "https://sqs/c",
        'https://sqs/"r"',
        "eu-west-1",
        lock="backup-stage",
        before_lock=("/bin/true", "now"),
    )
    mounts: tuple[tuple[Path, list[str]], ...] = (
        (Path("/one"), ["vol-0123abcd"]),
        (Path("/two"), []),
    )
    paths = AgentPaths(Path("/run/x"), Path("/state"), mounts, Path("/my.cnf"))
    document = tomllib.loads(agent_toml(config, paths))
    assert parse(document, Path("agent.toml"), {}).target == "recipes-db", "the agent takes it"
    assert document == {
        "target": "recipes-db",
        "commands_url": "https://sqs/c",
        "replies_url": 'https://sqs/"r"',
        "region": "eu-west-1",
        "state_dir": "/state",
        "mounts": [{"path": "/one", "volumes": ["vol-0123abcd"]}, {"path": "/two", "volumes": []}],
        "mysql": {"option_file": "/my.cnf", "lock": "backup-stage", "lock_wait_timeout_s": 2},
        "freeze": {
            "enabled": True,
            "budget_s": 10,
            "rcu_expedited": True,
            "run_dir": "/run/x",
        },
        "hooks": {"before_lock": ["/bin/true", "now"]},
    }
