"""One version, unpacked beside the others below /opt and switched to by renaming one link.

/opt/holdstill is a link to /opt/holdstill-VERSION-DIGEST-pyX.Y, a virtual environment without pip.
What runs keeps to the folder that it was started from (`bin/holdstill-agent` resolves the link), so
that an upgrade never mixes two versions in one process.
"""

import compileall
import ctypes
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from holdstill_install.errors import UnfitConfigurationError, UnusableReleaseError
from holdstill_install.files import remove, sync_directory
from holdstill_install.layout import NAME, Layout
from holdstill_install.package import Package

_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_DRAFT = f".{NAME}-draft-"

# What both services do first, by the new version's own code. Where agent.toml leaves the Region to
# the environment, that is the unit's, perhaps a drop-in's: any stands in for it.
_READ = """
import pathlib, sys
from holdstill_agent.config import load
from holdstill_agent.errors import ConfigError
from holdstill_freezer.errors import FreezerError
from holdstill_freezer.settings import read_settings
path = pathlib.Path(sys.argv[1])
try:
    if load(path, {"AWS_REGION": "us-east-1"}).freeze:
        read_settings(path)
except (ConfigError, FreezerError) as error:
    sys.exit(str(error))
"""


class _Environment(venv.EnvBuilder):
    """A virtual environment that needs no ensurepip: Debian has that in a package of its own."""

    def setup_scripts(self, context: SimpleNamespace) -> None:
        """Write none: nobody activates it."""


def folder_name(package: Package) -> str:
    """Return the version's folder: another Python of the host's is another folder."""
    return f"{NAME}-{package.release}-py{sys.version_info.major}.{sys.version_info.minor}"


def releases(layout: Layout) -> Iterator[Path]:
    """Yield the versions that are unpacked, and what an interrupted install left of one."""
    for path in sorted(layout.releases.glob(f"{NAME}-*")):
        if (path / "RELEASE").is_file():
            yield path
    yield from sorted(layout.releases.glob(f"{_DRAFT}*"))


def lay(package: Package, folder: Path) -> None:
    """Unpack a version into an empty folder, with an interpreter of its own."""
    _Environment(symlinks=True, with_pip=False).create(folder)
    site_packages = folder / "lib" / _PYTHON / "site-packages"
    package.unpack(folder, site_packages)
    # The freezer is run by its path, without site-packages; an agent that starts it looks here.
    (site_packages / "holdstill-freezer.pth").write_text("../../../freezer\n")


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The version must be there, whole, and have been seen to run on this host."""

    layout: Layout
    package: Package

    @property
    def _folder(self) -> Path:
        return self.layout.releases / folder_name(self.package)

    def pending(self) -> str | None:
        """Return what is to be done."""
        if self._folder.exists():
            return None
        return f"unpack {self.layout.name(self._folder)}/ (for Python {sys.version.split()[0]})"

    def do(self) -> None:
        """Unpack it under another name, try it, then rename: a folder of this name is whole."""
        draft = Path(tempfile.mkdtemp(dir=self.layout.releases, prefix=_DRAFT))
        try:
            lay(self.package, draft)
            # The agent's user could not write bytecode, and would compile boto3 at each start.
            final = self.layout.name(self._folder)
            compileall.compile_dir(draft, quiet=2, stripdir=str(draft), prependdir=final)
            _try_it(draft)
            draft.chmod(0o755)
            _sync(draft)  # else a power cut could leave a whole folder of empty files
            draft.rename(self._folder)
        except BaseException:
            remove(draft)
            raise
        sync_directory(self.layout.releases)


@dataclass(frozen=True, slots=True)
class Configured:
    """The version must have read this host's agent.toml without a fault.

    An agent that ends of its configuration is not started again: who upgrades would not see it.
    """

    layout: Layout
    folder: str

    @property
    def _configuration(self) -> Path:
        return self.layout.configuration / "agent.toml"

    def pending(self) -> str | None:
        """Return what is to be done: nothing where there is none yet, for the example has none."""
        if not self._configuration.exists():
            return None
        return f"read {self.layout.name(self._configuration)} by {self.folder}"

    def do(self) -> None:
        """Read it; UnfitConfigurationError has every fault."""
        python = self.layout.releases / self.folder / "bin" / "python"
        done = _run(python, "-I", "-c", _READ, self._configuration)
        if done.returncode:
            raise UnfitConfigurationError(
                f"{self.folder} cannot start with this host's configuration, and was not switched"
                f" to; what was installed before runs on:\n{done.stderr.strip()}\nmend that, then"
                " run the same again"
            )


@dataclass(frozen=True, slots=True)
class Switched:
    """/opt/holdstill must lead to the version."""

    layout: Layout
    target: str

    def pending(self) -> str | None:
        """Return what is to be done."""
        current = self.layout.current
        if current.is_symlink() and current.readlink() == Path(self.target):
            return None
        return f"switch {self.layout.name(current)} to {self.target}"

    def do(self) -> None:
        """Rename a new link over the old one: at no time is there none."""
        draft = self.layout.releases / f"{_DRAFT}link"
        draft.unlink(missing_ok=True)
        draft.symlink_to(self.target)
        draft.replace(self.layout.current)
        sync_directory(self.layout.releases)


def _try_it(folder: Path) -> None:
    python = folder / "bin" / "python"
    freezer = folder / "freezer" / "holdstill_freezer"
    for argv in (
        (folder / "bin" / "holdstill-agent", "--version"),
        (python, "-I", "-c", "import holdstill_agent.queues, holdstill_agent.database"),
        (python, "-I", "-S", freezer, "--help"),
    ):
        done = _run(*argv)
        if done.returncode:
            said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise UnusableReleaseError(
                f"it does not run on Python {sys.version.split()[0]} ({said}): install the whole"
                " of Python (some distributions split its library), or use another one"
            )


def _run(*argv: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - what was just unpacked
        argv, capture_output=True, text=True, check=False, env={"PATH": os.defpath}, cwd="/"
    )


def _sync(folder: Path) -> None:
    """Write its filesystem's dirty pages: one call, where an fsync of each file takes seconds."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), "syncfs failed", str(folder))
    finally:
        os.close(descriptor)
