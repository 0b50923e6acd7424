"""Hosts to be, each a folder with accounts in it: this machine's own are not touched."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from holdstill_install import refusals
from holdstill_install.errors import RefusedError


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


@dataclass(frozen=True, slots=True)
class FirstInstall:
    """A new host, what a dry run said and left changed, and what the install then said."""

    host: Host
    rehearsed: list[str]
    untouched: bool
    said: list[str]
