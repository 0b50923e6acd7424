"""The package, built once, and hosts that it is installed on."""

import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import agent_package
from tests.package.installing import FirstInstall, Host, new_host


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what goes into the file."""
    folder = tmp_path_factory.mktemp("package")
    agent_package.fill(folder / "stage", agent_package.build_wheel(folder / "wheel"))
    return folder / "stage"


@pytest.fixture(scope="session")
def package(stage: Path) -> Path:
    """Return the file, as it is built."""
    agent_package.pack(stage, stage.parent / agent_package.NAME)
    return stage.parent / agent_package.NAME


@pytest.fixture(scope="session")
def newer(stage: Path) -> Path:
    """Return a later version: another release, and an agent's unit with another line."""
    later = stage.parent / "later"
    shutil.copytree(stage, later)
    (later / "payload" / "RELEASE").write_text("9.9.9-0123456789ab\n")
    with (later / "payload" / "systemd" / "holdstill-agent.service").open("a") as unit:
        unit.write("# later\n")
    agent_package.pack(later, stage.parent / "later.pyz")
    return stage.parent / "later.pyz"


@pytest.fixture(scope="session")
def first(package: Path, tmp_path_factory: pytest.TempPathFactory) -> FirstInstall:
    """Install on a new host, after a dry run."""
    host = new_host(tmp_path_factory.mktemp("host") / "root")
    before = host.everything()
    rehearsed = host.run(package, "install", "--dry-run").stdout.splitlines()
    untouched = host.everything() == before
    return FirstInstall(host, rehearsed, untouched, host.install(package))


@pytest.fixture(scope="session")
def installed(first: FirstInstall) -> Host:
    """Return a host with the agent, which tests look at and do not change."""
    return first.host


@pytest.fixture
def host(installed: Host, tmp_path: Path) -> Host:
    """Return a host with the agent for a test to change."""
    root = tmp_path / "root"
    subprocess.run(("cp", "-a", "--reflink=auto", installed.root, root), check=True)
    return Host(root)
