"""What an uninstall removes, and what it leaves."""

import os
from pathlib import Path

import pytest

from holdstill_install import folders, refusals, steps, systemd
from holdstill_install.errors import RefusedError
from holdstill_install.layout import Layout
from holdstill_install.package import Package
from holdstill_install.stopping import Stopped
from tests.package.installing import Host, new_host

pytestmark = [pytest.mark.root, pytest.mark.slow]


def test_uninstall_keeps_what_is_the_operators(host: Host, package: Path) -> None:
    """All that install made is gone, but configuration and state; a purge takes those too."""
    host.at("/etc/systemd/system/other.service").write_text("[Unit]\n")
    done = host.run(package, "uninstall")
    assert done.returncode == 0, done.stderr
    assert "kept: /etc/holdstill/, /var/lib/holdstill/" in done.stdout
    assert not list(host.at("/opt").iterdir())
    assert [path.name for path in host.at("/etc/systemd/system").iterdir()] == ["other.service"]
    assert host.at("/etc/holdstill/agent.toml").exists()
    assert host.run(package, "uninstall", "--purge").returncode == 0
    left = {
        path for path in host.root.rglob("*") if not path.is_dir() and path.suffix != ".service"
    }
    assert {path.name.rstrip("-") for path in left} == {"passwd", "group"}
    assert "holdstill" not in host.at("/etc/passwd").read_text()
    assert "holdstill" not in host.at("/etc/group").read_text()
    assert host.run(package, "uninstall", "--purge").stdout.splitlines() == ["nothing to do"]


def test_purge_forgets_nothing_undone(host: Host, package: Path) -> None:
    """State that says what the agent must still undo is not thrown away."""
    deed = host.at("/var/lib/holdstill/unfinished-start-replication")
    deed.write_text("recipes-db.1\n\n")
    refused = host.run(package, "uninstall", "--purge")
    assert refused.returncode == 1
    assert "start-replication" in refused.stderr
    assert host.works()


def test_record_cut_short_is_no_deed(tmp_path: Path) -> None:
    """What a crash left of writing a record does not stop a purge, and goes with it."""
    layout = Layout(new_host(tmp_path / "root").root)
    layout.state.mkdir(parents=True)
    (layout.state / "unfinished-after-unlock.new").touch()
    refusals.refuse_to_forget(layout)
    folders.OwnFilesGone(layout, layout.state, folders.STATE).do()
    assert not layout.state.exists()


@pytest.mark.parametrize("key", ["state_dir", "run_dir"])
def test_purge_removes_only_our_own_files(host: Host, package: Path, key: str) -> None:
    """A folder that agent.toml names, and that holds more, stays with all that is not ours."""
    table = "[freeze]\n" if key == "run_dir" else ""
    host.at("/etc/holdstill/agent.toml").write_text(f'{table}{key} = "/shared"\n')
    shared = host.at("/shared")
    (shared / "unfinished-folder.new").mkdir(parents=True)
    for name in ("somebody-elses", "freeze", "freezer.sock", "unfinished-after-unlock.new"):
        (shared / name).touch()
    done = host.run(package, "uninstall", "--purge")
    assert done.returncode == 0, done.stderr
    ours = {"freeze", "freezer.sock"} if key == "run_dir" else {"unfinished-after-unlock.new"}
    all_there = {"somebody-elses", "freeze", "freezer.sock", "unfinished-after-unlock.new"}
    assert {path.name for path in shared.iterdir()} == {"unfinished-folder.new"} | all_there - ours
    assert "kept: /shared/ (it holds " in done.stdout


def test_purge_does_not_follow_a_link(tmp_path: Path) -> None:
    """A state_dir that was replaced by a link is left, and so is what it leads to."""
    layout = Layout(new_host(tmp_path / "root").root)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "unfinished-after-unlock").touch()
    layout.state.parent.mkdir(parents=True)
    layout.state.symlink_to(elsewhere)
    gone = folders.OwnFilesGone(layout, layout.state, folders.STATE)
    assert gone.pending() is None
    assert gone.left() == "/var/lib/holdstill (a link or a file)"
    with pytest.raises(OSError, match=r"."):
        gone.do()
    assert list(elsewhere.iterdir())


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for systemctl: the agent leaves a deed when it is stopped; return what was told."""
    told, deed = tmp_path / "told", tmp_path / "root/var/lib/holdstill/unfinished-after-unlock"
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >> {told}\n[ "$1" != stop ] || echo run > {deed}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return told


@pytest.fixture
def running(tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Return a host of which systemd has the units; nothing else of an uninstall is looked at."""
    monkeypatch.setattr(systemd, "runs", lambda _layout: True)
    layout = Layout(new_host(tmp_path / "root").root)
    for folder in (layout.units, layout.state, layout.run_dir):
        folder.mkdir(parents=True)
    for name in Package.open(package).units():
        (layout.units / name).touch()
    return layout


@pytest.mark.parametrize("purge", [False, True])
def test_run_begun_before_the_stop_is_not_forgotten(
    running: Layout, package: Path, systemctl: Path, *, purge: bool
) -> None:
    """The agent is asked again once it is stopped; then nothing is removed, and it runs again."""
    layout = running
    refusals.refuse_to_forget(layout)
    plan = steps.uninstall(layout, Package.open(package), purge=purge)
    assert isinstance(plan[0].step, Stopped), "nothing is removed before it"
    units = "holdstill-agent.service holdstill-freezer.socket"
    if not purge:  # the record stays, for whoever installs again
        plan[0].step.do()
        assert "start" not in systemctl.read_text()
        return
    with pytest.raises(RefusedError, match=r"unfinished-after-unlock .*started again"):
        plan[0].step.do()
    assert systemctl.read_text().splitlines()[-1] == f"start {units}"


def test_freeze_begun_before_the_stop_is_not_forgotten(
    running: Layout, package: Path, systemctl: Path
) -> None:
    """A marker that the stop left keeps the freezer that can thaw it."""
    layout = running
    plan = steps.uninstall(layout, Package.open(package), purge=False)
    (layout.run_dir / "freeze").write_text("rcu 0\n")
    with pytest.raises(RefusedError, match="--recover"):
        plan[0].step.do()
    assert "start holdstill-agent" in systemctl.read_text()
