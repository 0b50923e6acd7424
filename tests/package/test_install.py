"""An install or an upgrade: whole or not at all, and what is then in place."""

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from holdstill_agent.config import load
from holdstill_install import steps
from holdstill_install.layout import Layout
from holdstill_install.package import Package
from holdstill_install.release import folder_name
from scripts import agent_package
from tests.package.installing import FirstInstall, Host, fit_python

pytestmark = [pytest.mark.root, pytest.mark.slow]


def test_install_puts_all_in_place(installed: Host) -> None:
    """User, folders, units, configuration: each where the units look, with its owner and mode."""
    passwd = installed.at("/etc/passwd").read_text()
    user = next(line.split(":") for line in passwd.splitlines() if line.startswith("holdstill:"))
    assert user[6] in ("/usr/sbin/nologin", "/sbin/nologin", "/bin/false")
    uid, gid = int(user[2]), int(user[3])
    for path, owner, mode in (
        ("/etc/holdstill", (0, 0), 0o755),
        ("/etc/holdstill/agent.toml", (0, 0), 0o644),
        ("/etc/holdstill/mysql.cnf", (0, gid), 0o640),
        ("/var/lib/holdstill", (uid, gid), 0o700),
        ("/etc/systemd/system/holdstill-agent.service", (0, 0), 0o644),
        ("/opt/holdstill/freezer/holdstill_freezer/__main__.py", (0, 0), 0o644),
        ("/opt/holdstill/bin/holdstill-agent", (0, 0), 0o755),
        ("/opt/holdstill/", (0, 0), 0o755),
    ):
        status = installed.at(path).stat()
        assert ((status.st_uid, status.st_gid), status.st_mode & 0o7777) == (owner, mode), path
    for file in installed.at("/opt/").rglob("*"):
        status = file.lstat()
        assert status.st_uid == 0
        assert file.is_symlink() or not status.st_mode & 0o022, f"{file} can be changed by others"
        assert file.is_symlink() or status.st_mode & 0o004, f"{file} cannot be read by the agent"


def test_readme_shows_what_is_said(first: FirstInstall) -> None:
    """The README's output is real, but for versions, and for systemd, which is not told here."""
    readme = (agent_package.AGENT / "README.md").read_text()
    *shown, _ = readme.partition("```\ncreate user")[2].partition("\n```")[0].splitlines()
    shown = [f"create user{shown[0]}", *shown[1:]]
    shown.remove("run systemctl daemon-reload")
    plain = [re.sub(r"-[0-9.]+-[0-9a-f]{12}-py[0-9.]+|Python [0-9.]+", "V", line) for line in shown]
    said = [
        re.sub(r"-[0-9.]+-[0-9a-f]{12}-py[0-9.]+|Python [0-9.]+", "V", line)
        for line in first.said[: len(plain)]
    ]
    assert plain == said


def test_installed_agent_needs_nothing_else(installed: Host) -> None:
    """Whatever the agent imports comes from its own folder or from Python's library."""
    home = installed.at("/opt/holdstill").resolve()
    code = (
        "import sys; import holdstill_agent.__main__, holdstill_agent.queues as queues;"
        "queues.make_client('ap-northeast-1').list_queues;"
        "import boto3; boto3.client('sts', region_name='ap-northeast-1');"
        "import holdstill_freezer;"
        "print(sys.prefix, sys.base_prefix);"
        "print(*{m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)})"
    )
    argv = (home / "bin" / "python", "-I", "-c", code)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/", env={})
    assert done.returncode == 0, done.stderr
    prefixes, files = done.stdout.splitlines()
    prefix, base = prefixes.split()
    assert Path(prefix) == home
    for file in files.split():
        inside = Path(file).is_relative_to(home) or Path(file).is_relative_to(f"{base}/lib")
        assert inside, file
        assert "dist-packages" not in file


def test_installed_agent_checks_the_host(installed: Host, tmp_path: Path) -> None:
    """The installed command reads a configuration, starts its freezer, and says what is wrong."""
    config = tmp_path / "agent.toml"
    example = installed.at("/etc/holdstill/agent.toml").read_text()
    config.write_text(
        example.replace('"/var/lib/mysql"', f'"{tmp_path}"').replace(
            "/run/holdstill", f"{tmp_path}"
        )
    )
    config.chmod(0o644)
    checked = installed.agent("--config", str(config), "--check")
    assert checked.returncode == 1, checked.stderr
    assert "FAILED  freezer: " in checked.stdout
    assert "Traceback" not in checked.stderr
    assert "not installed" not in checked.stdout


def test_installed_example_is_for_the_installed_units(installed: Host) -> None:
    """As it lies there the agent can read it, and asks systemd's freezer, as its unit must."""
    config = load(installed.at("/etc/holdstill/agent.toml"))
    assert config.freezer_socket == "/run/holdstill/freezer.sock"
    socket = installed.at("/etc/systemd/system/holdstill-freezer.socket").read_text()
    assert f"ListenStream={config.freezer_socket}\n" in socket


def test_second_install_changes_nothing(installed: Host, package: Path) -> None:
    """Installed again it says so, and no file is another one or written anew."""
    before = installed.everything()
    assert installed.install(package) == ["nothing to do"]
    assert installed.everything() == before


def test_dry_run_says_the_same_and_does_nothing(
    first: FirstInstall, host: Host, package: Path
) -> None:
    """It says what it would do in the words of what it then did."""
    assert first.untouched
    *rehearsed, sum_of_it = first.rehearsed
    assert sum_of_it == f"dry run: {len(rehearsed)} changes, none made"
    assert first.said[: len(rehearsed) + 1] == [*rehearsed, f"done: {len(rehearsed)} changes"]
    before = host.everything()
    rehearsed = host.run(package, "uninstall", "--purge", "--dry-run").stdout.splitlines()
    assert host.everything() == before
    done = host.run(package, "uninstall", "--purge").stdout.splitlines()
    assert done[:-1] == rehearsed[:-1]


def test_unit_that_a_later_version_lacks_is_removed(
    host: Host, stage: Path, tmp_path: Path
) -> None:
    """What an earlier version brought and this one does not have is taken away."""
    old = "holdstill-old.service"
    (host.at("/opt/holdstill/systemd") / old).write_text("[Unit]\n")
    (host.at("/etc/systemd/system") / old).write_text("[Unit]\n")
    lean = tmp_path / "lean.pyz"
    agent_package.pack(stage, lean)
    host.install(lean)
    assert not (host.at("/etc/systemd/system") / old).exists()


def test_install_cut_short_leaves_the_old_one(host: Host, newer: Path) -> None:
    """After each step of an upgrade an agent is there that runs; and the rest can be done later."""
    layout, package = Layout(host.root), Package.open(newer)
    unpacked = layout.releases / folder_name(package)  # the longest step: see the next test
    subprocess.run(("cp", "-a", host.at("/opt/holdstill").resolve(), unpacked), check=True)
    plan = steps.install(layout, package)
    assert len(plan) == 4
    for one in plan:
        one.step.do()
        assert host.works(), one.words
    assert host.install(newer) == ["nothing to do"]


def test_killed_upgrade_is_completed_by_the_next(host: Host, newer: Path) -> None:
    """SIGKILL while it unpacks: the old one runs, and the next install clears up and completes.

    It takes the old one's place alone; configuration stays, and an edited unit is saved.
    """
    mine = {path: path.read_text() + "# mine\n" for path in host.at("/etc/holdstill").iterdir()}
    for path, text in mine.items():
        path.write_text(text)
    units = host.at("/etc/systemd/system")
    (units / "holdstill-agent.service").write_text("edited")
    argv = (fit_python(), newer, "install", "--root", host.root)
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while not (drafts := list(host.at("/opt").glob(".holdstill-draft-*/RELEASE"))):
        assert time.monotonic() < until
        assert process.poll() is None, "it was over before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert drafts[0].exists()
    assert host.works()
    assert "9.9.9" not in str(host.at("/opt/holdstill").readlink())
    said = host.install(newer)
    assert host.works()
    assert not list(host.at("/opt").glob(".holdstill-draft-*"))
    assert [path.name for path in host.at("/opt").iterdir() if not path.is_symlink()] == [
        host.at("/opt/holdstill").readlink().name
    ]
    assert "9.9.9-0123456789ab" in host.at("/opt/holdstill").readlink().name
    assert {path: path.read_text() for path in mine} == mine
    assert (units / "holdstill-agent.service.saved").read_text() == "edited"
    assert (units / "holdstill-agent.service").read_text().endswith("# later\n")
    assert not (units / "holdstill-freezer.socket.saved").exists()
    assert any("saved as holdstill-agent.service.saved" in line for line in said)
