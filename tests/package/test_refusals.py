"""When nothing is touched at all, and what is said then."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdstill_install import refusals
from holdstill_install.errors import RefusedError
from holdstill_install.layout import Layout
from scripts import agent_package
from tests.package.installing import Host, fit_python, new_host

pytestmark = [pytest.mark.root, pytest.mark.slow]


def test_damaged_package_is_refused(host: Host, newer: Path, tmp_path: Path) -> None:
    """A package cut off, or with a byte changed, is not switched to, and nothing of it is left."""
    content = bytearray(newer.read_bytes())
    with zipfile.ZipFile(newer) as archive:
        entry = archive.getinfo("payload/site-packages/pymysql/connections.py")
    content[entry.header_offset + 200] ^= 0xFF
    damaged = tmp_path / "damaged.pyz"
    damaged.write_bytes(content)
    refused = host.run(damaged, "install")
    assert refused.returncode == 1
    assert "copy the package to this host again" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert host.works()
    assert len(list(host.at("/opt").iterdir())) == 2


def test_version_that_does_not_run_is_not_switched_to(
    host: Host, stage: Path, tmp_path: Path
) -> None:
    """The new version is tried on this host's Python before it takes the old one's place."""
    broken = tmp_path / "stage"
    shutil.copytree(stage, broken)
    (broken / "payload" / "RELEASE").write_text("9.9.9-broken\n")
    shutil.rmtree(broken / "payload" / "site-packages" / "pymysql")
    agent_package.pack(broken, tmp_path / "broken.pyz")
    refused = host.run(tmp_path / "broken.pyz", "install")
    assert refused.returncode == 1
    assert "No module named 'pymysql'" in refused.stderr
    assert host.works()
    assert len(list(host.at("/opt").iterdir())) == 2


def test_version_that_finds_a_fault_in_the_configuration_is_not_switched_to(
    host: Host, newer: Path
) -> None:
    """An agent that ends of its agent.toml stays down: the one in use runs on, units and all."""
    config = host.at("/etc/holdstill/agent.toml")
    right = config.read_text().replace("region =", "# of the unit's environment: region =")
    current = host.at("/opt/holdstill").readlink()
    for text, mode, fault in (
        (f"colour = 1\n{right}", 0o644, "agent.toml: colour: unknown key"),
        (right, 0o666, "agent.toml is writable by others"),  # the freezer's alone: no hook
    ):
        config.write_text(text)
        config.chmod(mode)
        refused = host.run(newer, "install")
        assert refused.returncode == 1
        assert fault in refused.stderr
        assert "Traceback" not in refused.stderr
        assert host.at("/opt/holdstill").readlink() == current
        assert "# later" not in host.at("/etc/systemd/system/holdstill-agent.service").read_text()
    config.chmod(0o644)
    assert "read /etc/holdstill/agent.toml by holdstill-9.9.9" in "\n".join(host.install(newer))
    assert host.install(newer) == ["nothing to do"]


@pytest.mark.parametrize(
    ("command", "run_dir"), [("install", "/run/holdstill"), ("uninstall", "/run/elsewhere")]
)
def test_nothing_is_touched_while_frozen(
    host: Host, package: Path, command: str, run_dir: str
) -> None:
    """While the marker says that a freeze is held, it refuses; and says how to end one left."""
    config = host.at("/etc/holdstill/agent.toml")
    config.write_text(config.read_text().replace('"/run/holdstill"', f'"{run_dir}"'))
    host.at("/etc/systemd/system/holdstill-agent.service").write_text("edited")
    host.at(run_dir).mkdir(parents=True)
    (host.at(run_dir) / "freeze").write_text("rcu 0\nrun recipes-db.1\nmount 1 7:0 /srv\n")
    before = host.everything()
    refused = host.run(package, command)
    assert refused.returncode == 1
    assert "--recover" in refused.stderr
    assert host.everything() == before
    (host.at(run_dir) / "freeze").write_text("")
    assert host.run(package, command).returncode == 0


def test_folder_of_somebody_else_is_left_alone(package: Path, tmp_path: Path) -> None:
    """An /opt/holdstill that this did not make is named, and not replaced."""
    host = new_host(tmp_path / "root")
    host.at("/opt/holdstill/bin").mkdir(parents=True)
    refused = host.run(package, "install")
    assert refused.returncode == 1
    assert "mv /opt/holdstill /opt/holdstill.old" in refused.stderr


def test_only_one_install_at_a_time(host: Host, newer: Path) -> None:
    """While one runs, another is refused."""
    with refusals.only_one(Layout(host.root)):
        refused = host.run(newer, "install")
    assert refused.returncode == 1
    assert "another install" in refused.stderr


@pytest.fixture
def readable(package: Path) -> Iterator[Path]:
    """Return the package where anybody can read it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(shutil.copy(package, folder))


def test_other_users_are_refused_but_may_rehearse(readable: Path) -> None:
    """Only root installs; anybody may ask what it would do."""
    for rehearse, code in ((), 1), (("--dry-run",), 0):
        done = subprocess.run(
            (fit_python(), readable, "install", *rehearse),
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=65534,
            group=65534,
        )
        assert done.returncode == code
        assert ("by sudo" in done.stderr) == (code == 1)


def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is for Linux alone."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(RefusedError, match="Linux alone"):
        refusals.refuse_unfit_host(Layout(tmp_path))


def test_python_that_others_can_change_is_refused(tmp_path: Path) -> None:
    """The freezer is root by its interpreter: one that others can write, or reach not, is unfit."""
    for mode, why in ((0o777, "can be changed by others"), (0o700, "may not go into")):
        folder = tmp_path / f"{mode:o}"
        folder.mkdir()
        (folder / "python3").touch(mode=0o755)
        folder.chmod(mode)
        with pytest.raises(RefusedError, match=why):
            refusals.refuse_foreign_python(folder / "python3")
