"""The one file that a host needs: it installs, upgrades and removes, each whole or not at all.

All below a root of the test's own: accounts, units and folders of this machine are not touched.
"""

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from holdstill_agent.config import load
from holdstill_install import refusals, steps
from holdstill_install.errors import RefusedError
from holdstill_install.layout import Layout
from holdstill_install.package import Package
from holdstill_install.release import folder_name
from scripts import agent_package

pytestmark = [pytest.mark.root, pytest.mark.slow]

ENTRY = Path(__file__).parents[2] / "agent" / "pyz" / "__main__.py"
READ_BY_ANY_PYTHON = (
    *(ast.Module, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.arguments, ast.alias),
    *(ast.Assign, ast.Expr, ast.If, ast.For, ast.Return, ast.Call, ast.Compare, ast.BinOp),
    *(ast.BoolOp, ast.Attribute, ast.Subscript, ast.Slice, ast.Name, ast.Constant, ast.Tuple),
    *(ast.List, ast.operator, ast.cmpop, ast.boolop, ast.expr_context),
)


def fit_python() -> str:
    """Return a Python that only root can change; most often the system's own."""
    for path in (sys.executable, "/usr/bin/python3"):
        try:
            refusals.refuse_foreign_python(Path(path))
        except (RefusedError, OSError):
            continue
        if subprocess.run((path, "-c", "import tomllib"), check=False).returncode == 0:
            return path
    pytest.skip("no Python 3.11 or later that belongs to root")


@dataclass(frozen=True, slots=True)
class Host:
    """A host to be: a folder with accounts in it."""

    root: Path

    def run(self, package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the package's command below the root."""
        argv = (fit_python(), str(package), *arguments, "--root", str(self.root))
        return subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=240, umask=0o077
        )

    def install(self, package: Path) -> list[str]:
        """Install; return what was said."""
        done = self.run(package, "install")
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def at(self, path: str) -> Path:
        """Return where a path of the host is."""
        return self.root / path.lstrip("/")

    def agent(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the agent that is installed, as its unit does."""
        argv = (str(self.at("/opt/holdstill/bin/holdstill-agent")), *arguments)
        return subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/", env={})

    def works(self) -> bool:
        """Return whether an agent is installed that runs, and a freezer."""
        home = self.at("/opt/holdstill")
        freezer = (home / "bin" / "python", "-I", "-S", home / "freezer" / "holdstill_freezer")
        ran = subprocess.run((*freezer, "--help"), capture_output=True, check=False)
        return self.agent("--version").returncode == ran.returncode == 0

    def everything(self) -> dict[str, tuple[int, int, int, int]]:
        """Return each path's inode, owner, mode and time of change."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            status = path.lstat()
            inode = (status.st_ino, status.st_uid, status.st_mode)
            found[str(path)] = (*inode, 0 if path.is_dir() else status.st_ctime_ns)
        return found


def new_host(root: Path) -> Host:
    """Make a host with root's account alone."""
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")
    return Host(root)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what goes into the file."""
    folder = tmp_path_factory.mktemp("package")
    agent_package.fill(folder / "stage", agent_package.build_wheel(folder / "wheel"))
    return folder / "stage"


@pytest.fixture(scope="module")
def package(stage: Path) -> Path:
    """Return the file, as it is built."""
    agent_package.pack(stage, stage.parent / agent_package.NAME)
    return stage.parent / agent_package.NAME


@pytest.fixture(scope="module")
def newer(stage: Path) -> Path:
    """Return a later version: another release, and an agent's unit with another line."""
    later = stage.parent / "later"
    shutil.copytree(stage, later)
    (later / "payload" / "RELEASE").write_text("9.9.9-0123456789ab\n")
    with (later / "payload" / "systemd" / "holdstill-agent.service").open("a") as unit:
        unit.write("# later\n")
    agent_package.pack(later, stage.parent / "later.pyz")
    return stage.parent / "later.pyz"


@dataclass(frozen=True, slots=True)
class FirstInstall:
    """A new host, what a dry run said and left changed, and what the install then said."""

    host: Host
    rehearsed: list[str]
    untouched: bool
    said: list[str]


@pytest.fixture(scope="module")
def first(package: Path, tmp_path_factory: pytest.TempPathFactory) -> FirstInstall:
    """Install on a new host, after a dry run."""
    host = new_host(tmp_path_factory.mktemp("host") / "root")
    before = host.everything()
    rehearsed = host.run(package, "install", "--dry-run").stdout.splitlines()
    untouched = host.everything() == before
    return FirstInstall(host, rehearsed, untouched, host.install(package))


@pytest.fixture(scope="module")
def installed(first: FirstInstall) -> Host:
    """Return a host with the agent, which tests look at and do not change."""
    return first.host


@pytest.fixture
def host(installed: Host, tmp_path: Path) -> Host:
    """Return a host with the agent for a test to change."""
    root = tmp_path / "root"
    subprocess.run(("cp", "-a", "--reflink=auto", installed.root, root), check=True)
    return Host(root)


def test_equal_sources_are_equal_bytes(package: Path, tmp_path: Path) -> None:
    """Built again, elsewhere, under another umask and time zone: not a byte differs."""
    code = (
        "import os, sys; from pathlib import Path; from scripts import agent_package;"
        "os.umask(0o077); print(agent_package.build(Path(sys.argv[1])).pyz)"
    )
    built = subprocess.run(
        (sys.executable, "-c", code, tmp_path),
        env={**os.environ, "TZ": "Asia/Tokyo"},
        cwd=agent_package.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(built.stdout.strip()).read_bytes() == package.read_bytes()
    assert package.stat().st_size < 2_000_000
    assert list(tmp_path.glob("holdstill_agent-*.whl"))


def test_entry_is_read_by_any_python() -> None:
    """The first file uses no syntax that Python 2.7 lacks, so that it can say which is needed."""
    source = ENTRY.read_text()
    source.encode("ascii")  # 2.7 takes no other letter without a declaration
    for node in ast.walk(ast.parse(source, feature_version=(3, 7))):
        assert isinstance(node, READ_BY_ANY_PYTHON), ast.dump(node)
        if isinstance(node, ast.FunctionDef):
            assert node.returns is None
            assert not any(argument.annotation for argument in node.args.args)
        if isinstance(node, ast.Call):
            assert not node.keywords
            assert getattr(node.func, "id", "") != "print"


def test_old_python_is_told_which_to_install(package: Path) -> None:
    """A Python that is too old is refused by saying which is needed, and what to type."""
    faked = (
        "import runpy, sys; package = sys.argv[1]; sys.argv = [package, 'install'];"
        "sys.version_info = (3, 9, 2); runpy.run_path(package, run_name='__main__')"
    )
    old: list[tuple[tuple[str, ...], str]] = [((sys.executable, "-c", faked, str(package)), "3.9")]
    for version in ("2.7", "3.6", "3.10"):  # real ones, where there are any
        versions = (Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python")
        found = next(versions, shutil.which(f"python{version}"))
        if found:
            old.append(((str(found), str(package), "install"), version))
    for argv, version in old:
        for path, hint in (
            ("/nowhere", "dnf install python3.11"),
            (_path_with_newer(package), "run"),
        ):
            said = subprocess.run(
                argv, env={"PATH": path}, capture_output=True, text=True, check=False
            )
            assert said.returncode == 1
            assert f"this is Python {version}, and the agent needs 3.11 or later" in said.stderr
            assert hint in said.stderr
            assert f"python3.{11 if path == '/nowhere' else 12} {package} install" in said.stderr


def _path_with_newer(package: Path) -> str:
    folder = package.parent / "bin"
    folder.mkdir(exist_ok=True)
    newer = folder / "python3.12"
    newer.touch(mode=0o755)
    return str(folder)


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
    assert len(plan) == 3
    for one in plan:
        one.step.do()
        assert host.works(), one.words
    assert host.install(newer) == ["nothing to do"]


def test_killed_upgrade_is_completed_by_the_next(host: Host, newer: Path) -> None:
    """SIGKILL while it unpacks: the old one runs, and the next install clears up and completes.

    It takes the old one's place alone; configuration stays, and an edited unit is saved.
    """
    for name in ("agent.toml", "mysql.cnf"):
        host.at(f"/etc/holdstill/{name}").write_text("mine")
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
    for name in ("agent.toml", "mysql.cnf"):
        assert host.at(f"/etc/holdstill/{name}").read_text() == "mine"
    assert (units / "holdstill-agent.service.saved").read_text() == "edited"
    assert (units / "holdstill-agent.service").read_text().endswith("# later\n")
    assert not (units / "holdstill-freezer.socket.saved").exists()
    assert any("saved as holdstill-agent.service.saved" in line for line in said)


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
    deed = host.at("/var/lib/holdstill/start-replication")
    deed.write_text("recipes-db.1\n\n")
    refused = host.run(package, "uninstall", "--purge")
    assert refused.returncode == 1
    assert "start-replication" in refused.stderr
    assert host.works()


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


def test_agent_runs_without_being_installed(package: Path, tmp_path: Path) -> None:
    """`run` starts the agent from the file itself, with its exit code, and leaves nothing."""
    argv = (fit_python(), package, "run", "--config", "/nowhere/agent.toml", "--check")
    environment = {"TMPDIR": str(tmp_path), "PATH": os.defpath}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "/nowhere/agent.toml: cannot be read" in done.stderr
    assert not list(tmp_path.iterdir())
