"""The host without root: what it stands in for, it does by the same rules."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from lab.host import AgentConfig, FallbackHost, Moment

if TYPE_CHECKING:
    from collections.abc import Iterator

BUDGET_S = 1.5
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FallbackHost]:
    """Return a fallback host under load."""
    volume = tmp_path / "volume"
    volume.mkdir()
    with FallbackHost([volume], budget_s=BUDGET_S) as host:
        host.start_load()
        host.start_probes()
        yield host


def test_copy_behind_the_gate_holds(host: FallbackHost, tmp_path: Path) -> None:
    """A directory copied while the stand-in holds all writers passes; `thaw` says it was told."""
    with Line(host) as line:
        assert line.ask("sync").startswith("synced ")
        assert line.ask("freeze recipes-db.20300101T000000Z.1").startswith("frozen ")
        begun_ns = time.monotonic_ns()
        copy = _copied(host, tmp_path)
        moment = Moment(begun_ns, time.monotonic_ns())
        assert line.ask("thaw").startswith("thawed commanded 1 ")
    report = host.check([copy], moment)
    assert report.holds, str(report)


def test_copy_past_the_gate_fails(host: FallbackHost, tmp_path: Path) -> None:
    """A copy that holds nobody is inconsistent: the proof can fail here too."""
    report = host.check([_copied(host, tmp_path)])
    assert not report.holds, str(report)


def test_probe_sees_the_gate(host: FallbackHost) -> None:
    """Writers stand still while the stand-in holds, and only then."""
    with Line(host) as line:
        begun_ns = time.monotonic_ns()
        line.ask("freeze run-1")
        time.sleep(0.2)
        line.ask("thaw")
        ended_ns = time.monotonic_ns()
    time.sleep(0.1)
    assert 190 < host.probes["file"].gap_ms(begun_ns, ended_ns) < 1400


def test_deadline_opens_without_a_command(host: FallbackHost) -> None:
    """At the end of the budget it thaws unasked, and a late `thaw` gets the same answer."""
    with Line(host) as line:
        line.ask("freeze run-1")
        unasked = line.read()
        assert unasked.startswith("thawed deadline 1 ")
        assert line.ask("thaw") == unasked
    assert _writes_go_on(host)


def test_lost_connection_opens(host: FallbackHost) -> None:
    """Whoever froze and left is not waited for."""
    with Line(host) as line:
        line.ask("freeze run-1")
    assert _writes_go_on(host)


def test_one_freeze_at_a_time(host: FallbackHost) -> None:
    """A second freeze is refused, on the same connection and on another."""
    with Line(host) as first, Line(host) as second:
        first.ask("freeze run-1")
        assert second.ask("freeze run-2").startswith("failed already-frozen")
        assert first.ask("freeze run-1").startswith("failed bad-request")
        assert first.ask("thaw").startswith("thawed commanded")
        assert first.ask("freeze run-3").startswith("failed bad-request")


def test_agent_config_names_the_stand_in(host: FallbackHost) -> None:
    """The agent is told of the socket, the budget, and that there is no lock."""
    config = AgentConfig("recipes-db", "https://commands", "https://replies")
    path = host.write_agent_config(config, [["vol-1"]])
    document = tomllib.loads(path.read_text())
    assert document["mysql"]["lock"] == "none"
    assert document["freeze"]["budget_s"] == BUDGET_S
    assert document["freeze"]["socket"].endswith("freezer.sock")
    assert document["mounts"] == [{"path": str(host.places.mounts[0]), "volumes": ["vol-1"]}]


@pytest.mark.root
def test_no_privilege_is_needed(tmp_path: Path) -> None:
    """Even root without any capability can run it; where this is skipped, a user runs them all."""
    script = (
        "import pathlib, sys; from lab.host import FallbackHost\n"
        "with FallbackHost([pathlib.Path(sys.argv[1])]) as host:\n"
        "    host.start_load(); host.start_probes()\n"
    )
    subprocess.run(
        [
            *("setpriv", "--bounding-set=-all", "--inh-caps=-all"),
            *(sys.executable, "-c", script, str(tmp_path)),
        ],
        cwd=REPOSITORY,
        check=True,
        timeout=30,
    )


class Line:
    """A client of the stand-in."""

    def __init__(self, host: FallbackHost) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(5)
        self._socket.connect(str(host.places.run_dir / "freezer.sock"))
        self._lines = self._socket.makefile("r")

    def __enter__(self) -> Self:
        assert self.read() == "ready 1500"
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def ask(self, line: str) -> str:
        """Send a line and return the answer."""
        self._socket.sendall(line.encode() + b"\n")
        return self.read()

    def read(self) -> str:
        """Return the next line."""
        return self._lines.readline().rstrip("\n")


def _copied(host: FallbackHost, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(host.places.mounts[0], copy)
    return copy


def _writes_go_on(host: FallbackHost) -> bool:
    time.sleep(0.05)
    before = host.load.acknowledged("pair-0")
    time.sleep(0.1)
    return host.load.acknowledged("pair-0") > before
