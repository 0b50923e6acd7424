"""A database host under a real systemd: MariaDB on XFS, agent and freezer in their units."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from lab.host import probe
from lab.host.agent import AgentConfig, AgentPaths, agent_toml
from lab.host.child import REPOSITORY, run
from lab.host.disk import make_filesystem, mount, thaw, unmount
from lab.host.load import DATABASE
from lab.host.mariadb import MariaDb
from lab.host.places import scratch
from lab.systemd.container import Container
from lab.temporary import Temporary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.host.probe import Probe

AGENT = "holdstill-agent.service"
SOCKET = "holdstill-freezer.socket"
FREEZER = "holdstill-freezer@.service"
FREEZERS = "holdstill-freezer@*.service"
SOCKET_PATH = "/run/holdstill/freezer.sock"
RUN_DIR = "/run/holdstill"
DATADIR = "/var/lib/mysql"
CONFIG = "/etc/holdstill/agent.toml"
OPTION_FILE = "/etc/holdstill/mysql.cnf"
_PACKAGE = "/opt/holdstill-agent.pyz"
_PYTHON = "/usr/bin/python3"  # the agent's user could not run one below /root
_SOCKETS = "/run/mysqld"
# Says one line, and reads until there is an answer or the other end closes.
_CLIENT = """
import socket, sys
line = socket.socket(socket.AF_UNIX)
line.settimeout(10)
try:
    line.connect(sys.argv[1])
except OSError as error:
    sys.exit(str(error))
answers = line.makefile()
greeting = answers.readline()
print(greeting, end="")
request = sys.stdin.read()
if request and greeting.startswith("ready"):
    line.sendall(request.encode() + b"\\n")
    print(answers.readline(), end="")
"""
_OUT_OF_MEMORY_WITHIN_S = 30.0
_IMAGE_BYTES = 320 << 20  # sparse; XFS takes no less than 300 MB

# Debian's own unit would read this machine's /etc/mysql.
_DATABASE = f"""[Unit]
Description=The lab's MariaDB
[Service]
Type=notify
User=mysql
ExecStart=/usr/sbin/mariadbd --no-defaults --datadir={DATADIR} --log-bin={DATADIR}/binlog \\
    --socket={_SOCKETS}/mariadb.sock --pid-file={_SOCKETS}/mariadb.pid --tmpdir={_SOCKETS} \\
    --skip-networking --skip-name-resolve --server-id=1 --innodb-buffer-pool-size=32M \\
    --innodb-log-file-size=16M
TimeoutStopSec=10
"""


class SystemdHost(Temporary):
    """Up between entry and exit, the agent not yet started; nothing is left behind."""

    container: Container
    server: MariaDb
    point: Path
    """Where the database's filesystem is mounted outside of the container."""

    def __init__(self, package: Path) -> None:
        """`package`: the one file that installs the agent on a host."""
        super().__init__()
        self._package = package

    def _build(self) -> None:
        folder = self._undo.enter_context(scratch("systemd"))
        folder.chmod(0o755)
        self.point, self._sockets, image = (folder / name for name in ("volume", "mysqld", "image"))
        for directory in (self.point, self._sockets):
            directory.mkdir()
        with image.open("xb") as file:
            file.truncate(_IMAGE_BYTES)
        self._undo.callback(unmount, self.point)
        make_filesystem(image)
        mount(image, self.point)
        self.container = self._undo.enter_context(Container(folder))
        self._undo.callback(thaw, self.point)  # or nothing in the container could end
        server = MariaDb(self.point, self.point, self._sockets)
        server.install()
        self.point.chmod(0o700)  # as MySQL's own packages have it
        shutil.chown(self._sockets, "mysql", "mysql")
        overlay = self.container.overlay
        overlay.write("/etc/systemd/system/mariadb.service", _DATABASE)
        shutil.copy(self._package, overlay.root / _PACKAGE.lstrip("/"))
        self.container.boot({self.point: DATADIR, self._sockets: _SOCKETS})
        self.container.run(_PYTHON, _PACKAGE, "install")
        self.systemctl("start", "mariadb.service")
        self.server = server
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {DATABASE}")
            probe.create_table(connection)
        account = self._sockets / "account.cnf"
        server.create_agent_account(account)
        text = account.read_text().replace(str(self._sockets), _SOCKETS)
        self.container.inside(OPTION_FILE).write_text(text)  # owner and mode are the installer's

    def configure(self, config: AgentConfig, volume: str, env: Mapping[str, str]) -> None:
        """Write agent.toml; `env` says how the agent reaches AWS."""
        paths = AgentPaths(
            run_dir=Path(RUN_DIR),
            state_dir=Path("/var/lib/holdstill"),
            mounts=((Path(DATADIR), [volume]),),
            option_file=Path(OPTION_FILE),
            freezer_socket=Path(SOCKET_PATH),
        )
        self.container.overlay.write(CONFIG, agent_toml(config, paths))
        lines = "".join(f'Environment="{name}={value}"\n' for name, value in env.items())
        self.drop_in(AGENT, "environment", f"[Service]\n{lines}")

    def drop_in(self, unit: str, name: str, text: str) -> None:
        """Change a unit as an administrator does, and have systemd read it."""
        self.container.overlay.write(f"/etc/systemd/system/{unit}.d/{name}.conf", text)
        self.systemctl("daemon-reload")

    def drop_out(self, unit: str, name: str) -> None:
        """Take such a change back."""
        (self.container.overlay.root / f"etc/systemd/system/{unit}.d/{name}.conf").unlink()
        self.systemctl("daemon-reload")

    def systemctl(self, *arguments: str) -> str:
        """Run systemctl inside; ChildError if it fails."""
        return self.container.run("systemctl", *arguments)

    def property(self, unit: str, name: str) -> str:
        """Return one of a unit's properties."""
        return self.systemctl("show", "--value", f"--property={name}", unit).strip()

    def processes(self, unit: str) -> list[psutil.Process]:
        """Return a unit's processes; for the freezer the freezer first, then its guard."""
        found = []
        for pid in self.container.cgroup.pids(unit):
            with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
                found.append(psutil.Process(pid))
        return found

    def kill(self, unit: str, number: int = signal.SIGKILL) -> None:
        """Signal a unit's first process, from outside: systemd only sees what comes of it."""
        os.kill(self.processes(unit)[0].pid, number)

    def ask(self, user: str, request: str) -> str:
        """Connect to the freezer as a user, say something, and return all that it answers."""
        done = self.container.try_run(
            *(_PYTHON, "-I", "-c", _CLIENT, SOCKET_PATH), user=user, stdin=request
        )
        return done.stdout or done.stderr

    def freeze(self) -> None:
        """Freeze the database's filesystem, as a stranger would."""
        run("fsfreeze", "--freeze", str(self.point))

    def thaw(self) -> bool:
        """Thaw it, whoever froze it; return whether it was frozen."""
        return thaw(self.point)

    def leave_frozen(self, run_id: str) -> None:
        """Freeze it and leave the marker of a freezer that is dead, whose unit saw nothing."""
        number = self.point.stat().st_dev
        device = f"{os.major(number)}:{os.minor(number)}"
        marker = self.container.inside(f"{RUN_DIR}/freeze")
        marker.write_text(f"rcu 0\nrun {run_id}\nmount 1 {device} {DATADIR}\n")
        self.freeze()

    def exhaust_memory(self, unit: str, victim: psutil.Process) -> int:
        """Fill a unit's memory up to its MemoryMax; return when the kernel killed `victim`.

        By the monotonic clock, in nanoseconds.
        """
        folder = self.container.cgroup.folder("memory", unit)
        argv = (sys.executable, "-S", str(REPOSITORY / "lab" / "systemd" / "oom.py"))
        return int(run(*argv, str(folder), str(victim.pid), timeout_s=_OUT_OF_MEMORY_WITHIN_S))

    def probes(self, folder: Path) -> dict[str, Probe]:
        """Return probes that write through the database and to its filesystem, from outside."""
        return {
            "sql": probe.Probe("sql", self.server.socket, folder / "probe-sql.log"),
            "file": probe.Probe("file", self.point / "probe", folder / "probe-file.log"),
        }

    def journal(self, unit: str) -> str:
        """Return the latest of what a unit has logged, and systemd of it."""
        query = ("journalctl", "--no-pager", "--output=short-precise", "--lines=40")
        return self.container.try_run(*query, f"--unit={unit}").stdout
