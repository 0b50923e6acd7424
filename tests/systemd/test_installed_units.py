"""The package's own install under a real systemd: units known, upgraded while they run, gone."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from lab.host.places import scratch
from lab.systemd.container import Container
from scripts import agent_package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.root, pytest.mark.slow]

PACKAGE, NEWER = "/package/holdstill-agent.pyz", "/package/newer.pyz"
SOCKET, AGENT = "holdstill-freezer.socket", "holdstill-agent.service"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the package and a later one, whose socket's unit differs."""
    folder = tmp_path_factory.mktemp("package")
    stage = folder / "stage"
    agent_package.fill(stage, agent_package.build_wheel(folder / "wheel"))
    agent_package.pack(stage, folder / "holdstill-agent.pyz")
    (stage / "payload" / "RELEASE").write_text("9.9.9-0123456789ab\n")
    with (stage / "payload" / "systemd" / SOCKET).open("a") as unit:
        unit.write("# later\n")
    agent_package.pack(stage, folder / "newer.pyz")
    shutil.rmtree(stage)
    return folder


@pytest.fixture(scope="module")
def container(packages: Path) -> Iterator[Container]:
    """Return a booted systemd that can see them."""
    with scratch("install") as folder, Container(folder) as container:
        folder.chmod(0o755)
        container.boot({packages: "/package"})
        yield container


def test_units_are_known_upgraded_and_gone(container: Container) -> None:
    """Installed, enabled, upgraded while it runs, removed: systemd is told each time."""

    def state(unit: str, name: str) -> str:
        return container.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    container.run("/usr/bin/python3", PACKAGE, "install")
    assert state(AGENT, "LoadState") == "loaded"
    assert state(AGENT, "ActiveState") == "inactive", "what an example says is not started"
    container.run("systemctl", "enable", "--now", SOCKET)
    since = state(SOCKET, "ActiveEnterTimestampMonotonic")
    assert container.run("/usr/bin/python3", PACKAGE, "install") == "nothing to do\n"
    assert state(SOCKET, "ActiveEnterTimestampMonotonic") == since

    said = container.run("/usr/bin/python3", NEWER, "install").splitlines()
    assert "run systemctl daemon-reload" in said
    assert f"run systemctl try-restart {SOCKET}" in said, "the agent was not running"
    assert state(SOCKET, "NeedDaemonReload") == "no"
    assert state(SOCKET, "ActiveState") == "active"
    assert state(SOCKET, "ActiveEnterTimestampMonotonic") != since
    version = container.run(
        "setpriv",
        "--reuid=holdstill",
        "/opt/holdstill/bin/python",
        "-I",
        "-c",
        "import holdstill_agent.__main__; print('runs')",
    )
    assert version == "runs\n", "also as the agent's user"

    said = container.run("/usr/bin/python3", NEWER, "uninstall", "--purge").splitlines()
    assert said[0].startswith(f"run systemctl stop {AGENT} {SOCKET} ")
    assert said[1] == f"run systemctl disable {AGENT} {SOCKET}"
    for unit in (SOCKET, AGENT):
        assert state(unit, "LoadState") == "not-found"
        assert state(unit, "ActiveState") == "inactive"
    assert container.try_run("getent", "passwd", "holdstill").returncode == 2
    places = ("/etc", "/opt", "/var/lib", "/run")
    assert container.run("find", *places, "-xdev", "-name", "*holdstill*") == ""
