"""MySQL's server from Debian's packages, unpacked once in a cache outside the repository.

Debian has MySQL in unstable alone, built for its newest libraries. So the server comes with the
libraries and the loader that it was built for, a tree of 140 MB that runs on any Linux with a
newer kernel than theirs needs, and nothing is installed. It takes apt-get and dpkg-deb, 60 MB of
downloads and about 15 s, most of them for the system tables, which every server then copies.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.host.child import run
from lab.host.errors import MySqlUnavailableError, ProgramError

SIGNED_BY = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITE = "sid main"
ARCHIVE = "HOLDSTILL_DEBIAN_ARCHIVE"  # names a Debian archive where the machine's apt has none
PACKAGE = "mysql-server-core"
SHARED = ("english", "charsets")
PLUGINS = ("auth_socket.so", "component_reference_cache.so")
FORMAT = 1  # of the tree; another number makes another tree
DOWNLOADED_WITHIN_S = 300.0
SYSTEM_TABLES_WITHIN_S = 120.0
# root by the peer's user, as MariaDB has it, and no password.
ROOT_BY_SOCKET = (
    "INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'; "
    "ALTER USER root@localhost IDENTIFIED WITH auth_socket;"
)


@dataclass(frozen=True, slots=True)
class MySqlTree:
    """An unpacked MySQL."""

    root: Path

    @property
    def system_tables(self) -> Path:
        """A data directory as it is after the first start; its server has no UUID yet."""
        return self.root / "system-tables"

    def argv(self) -> list[str]:
        """Return the server's command line, up to where the options of one server begin."""
        library = self.root / "lib"
        return [
            str(_loader(library)),
            *("--library-path", str(library)),
            str(self.root / "mysqld"),
            "--no-defaults",
            f"--basedir={self.root}",
            f"--lc-messages-dir={self.root / 'share'}",
            f"--character-sets-dir={self.root / 'share' / 'charsets'}",
            f"--plugin-dir={self.root / 'plugin'}",
            "--secure-file-priv=NULL",
            # By the socket nobody needs them, and making them takes a second.
            "--auto-generate-certs=OFF",
            "--caching-sha2-password-auto-generate-rsa-keys=OFF",
            "--innodb-redo-log-capacity=32M",
        ]

    def version(self) -> str:
        """Return the server's version: 9.7.4-2."""
        said = run(*self.argv()[:4], "--version").split()
        return said[said.index("Ver") + 1]


def mysql_tree() -> MySqlTree:
    """Return the tree, made now if this machine has none. Raises MySqlUnavailableError."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "holdstill"
    cache.mkdir(parents=True, exist_ok=True)
    root = cache / f"mysql-{_content_key()}"
    with (cache / "mysql.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two tests, or set-up and test, may want it at once
        if not root.exists():
            # Beside its place, and renamed when whole: a tree that is there is complete.
            with tempfile.TemporaryDirectory(prefix="mysql-", dir=cache) as scratch:
                try:
                    _make(Path(scratch)).root.rename(root)
                except (ProgramError, OSError) as error:
                    raise MySqlUnavailableError(
                        "MySQL cannot be had: it takes Linux, apt-get, the package "
                        f"debian-archive-keyring and the way to a Debian archive: {error}"
                    ) from error
    return MySqlTree(root)


def _make(scratch: Path) -> MySqlTree:
    unpacked = scratch / "unpacked"
    for package in _download(scratch / "apt"):
        run("dpkg-deb", "--extract", str(package), str(unpacked))
    tree = MySqlTree(scratch / "tree")
    for folder in ("lib", "share", "plugin"):
        (tree.root / folder).mkdir(parents=True)
    _take_server(unpacked / "usr", tree.root)
    _make_system_tables(tree, scratch)
    return tree


def _download(apt: Path) -> list[Path]:
    """Download the server and all that it depends on; as the machine's apt reaches its archive."""
    for folder in ("lists/partial", "archives/partial"):
        (apt / folder).mkdir(parents=True)
    (apt / "sources.list").write_text(f"deb [signed-by={SIGNED_BY}] {_archive()} {SUITE}\n")
    (apt / "status").touch()  # nothing is installed, so nothing is left out
    apt_get = (
        "apt-get",
        "--quiet",
        *("--option", f"Dir::Etc::SourceList={apt / 'sources.list'}"),
        *("--option", "Dir::Etc::SourceParts=/dev/null"),
        *("--option", f"Dir::State={apt}"),
        *("--option", f"Dir::State::status={apt / 'status'}"),
        *("--option", f"Dir::Cache={apt}"),
        *("--option", "APT::Sandbox::User=root"),
        *("--option", "APT::Install-Recommends=false"),
        *("--option", "Acquire::Languages=none"),
        *("--option", "Acquire::Retries=3"),
    )
    run(*apt_get, "update", timeout_s=DOWNLOADED_WITHIN_S)
    install = ("install", "--yes", "--download-only", PACKAGE)
    run(*apt_get, *install, timeout_s=DOWNLOADED_WITHIN_S)
    packages = sorted((apt / "archives").glob("*.deb"))
    # A script of the package is in Perl; nothing that is wanted here.
    return [one for one in packages if not one.name.startswith(("perl", "libperl"))]


def _archive() -> str:
    """Return the URL of a Debian archive: the one that this machine installs from."""
    named = os.environ.get(ARCHIVE)
    if named:
        return named
    known = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages")
    for url in known.split():
        if url.rstrip("/").endswith("/debian"):
            return url
    raise MySqlUnavailableError(
        f"MySQL cannot be had: apt knows no Debian archive here; name one in {ARCHIVE}"
    )


def _take_server(usr: Path, root: Path) -> None:
    """Take the server, the libraries that its loader names, and the little that it opens."""
    shutil.move(usr / "sbin" / "mysqld", root / "mysqld")
    libraries = next(path.parent for path in usr.glob("lib*/**/ld-linux-*.so.*"))
    for plugin in PLUGINS:
        shutil.move(usr / "lib" / "mysql" / "plugin" / plugin, root / "plugin" / plugin)
    for folder in SHARED:
        shutil.move(usr / "share" / "mysql" / folder, root / "share" / folder)
    loader = _loader(libraries)
    path = ("--library-path", str(libraries))
    listed = run(str(loader), *path, "--list", str(root / "mysqld")).split()
    for library in {loader, *(Path(word) for word in listed if word.startswith(str(libraries)))}:
        shutil.copy2(library, root / "lib" / library.name)


def _make_system_tables(tree: MySqlTree, scratch: Path) -> None:
    (scratch / "init.sql").write_text(ROOT_BY_SOCKET + "\n")
    run(
        *tree.argv(),
        "--initialize-insecure",
        f"--datadir={tree.system_tables}",
        f"--init-file={scratch / 'init.sql'}",
        *(["--user=root"] if os.geteuid() == 0 else []),
        # Whoever loses power now makes it anew.
        "--innodb-flush-method=nosync",
        "--innodb-flush-log-at-trx-commit=0",
        "--skip-log-bin",
        timeout_s=SYSTEM_TABLES_WITHIN_S,
    )
    # Each server makes its own server_uuid; keys would not be secret, and nobody needs any.
    for path in (tree.system_tables / "auto.cnf", *tree.system_tables.glob("*.pem")):
        path.unlink()


def _loader(libraries: Path) -> Path:
    return next(libraries.glob("ld-linux-*.so.*"))


def _content_key() -> str:
    made_of = (FORMAT, SUITE, PACKAGE, SHARED, PLUGINS, ROOT_BY_SOCKET, platform.machine())
    return hashlib.sha256(repr(made_of).encode()).hexdigest()[:12]


if __name__ == "__main__":  # for set-up, which has the time
    mysql_tree()
