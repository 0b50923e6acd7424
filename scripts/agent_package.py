"""Build the agent's wheel, and the one file that installs it on a host: `make agent-package`.

The file is a zip that Python runs: the installer, and below `payload/` what it unpacks: the locked
dependencies, the agent and protocol, the freezer by itself, the units, the examples. Equal sources
give equal bytes: entries are sorted, and have one date and plain modes.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
AGENT: Final = ROOT / "agent"
LOCK: Final = ROOT / "requirements" / "agent.txt"
DIST: Final = ROOT / "build" / "dist"
NAME: Final = "holdstill-agent.pyz"

_SHEBANG = b"#!/usr/bin/env python3\n"
_DATE = (1980, 1, 1, 0, 0, 0)  # a zip knows none before
_SERVICES = ("sqs", "sts")  # sts: a profile or a web identity that assumes a role
_SOCKET = '# socket = "/run/holdstill/freezer.sock"'
_NOTES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")
"""What an installer wrote into a distribution's metadata: it differs between pip and uv."""


class PackagingError(Exception):
    """The package cannot be built."""


@dataclass(frozen=True, slots=True)
class Built:
    """What a host needs: either of them."""

    wheel: Path
    pyz: Path


def build(dist: Path = DIST) -> Built:
    """Build both into `dist`; PackagingError says what failed."""
    dist.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="holdstill-package-") as folder:
        stage = Path(folder) / "stage"
        wheel = build_wheel(Path(folder) / "wheel")
        fill(stage, wheel)
        pyz = dist / NAME
        pack(stage, pyz)
        return Built(Path(shutil.copy(wheel, dist)), pyz)


def fill(stage: Path, wheel: Path) -> None:
    """Lay out what goes into the file."""
    payload = stage / "payload"
    site_packages = payload / "site-packages"
    _install_locked(site_packages)
    _trim(site_packages)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site_packages)
    freezer = payload / "freezer" / "holdstill_freezer"
    freezer.parent.mkdir()
    shutil.move(site_packages / "holdstill_freezer", freezer)
    for note in (path for name in _NOTES for path in site_packages.glob(f"*.dist-info/{name}")):
        note.unlink()
    ours = shutil.ignore_patterns("__pycache__")
    shutil.copytree(AGENT / "systemd", payload / "systemd", ignore=ours)
    shutil.copytree(AGENT / "src" / "holdstill_install", stage / "holdstill_install", ignore=ours)
    (payload / "bin").mkdir()
    for source, place in (
        (AGENT / "pyz" / "holdstill-agent", payload / "bin"),
        (AGENT / "mysql.example.cnf", payload),
        (AGENT / "README.md", payload),
        (ROOT / "LICENSE", payload),
        (AGENT / "pyz" / "__main__.py", stage),
    ):
        shutil.copy(source, place)
    (payload / "agent.example.toml").write_text(_installed_example())
    version = wheel.name.split("-")[1]
    (payload / "RELEASE").write_text(f"{version}-{_digest(stage)}\n")


def pack(stage: Path, target: Path) -> None:
    """Write the folder as one file that can be run, whole or not at all."""
    draft = target.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(_SHEBANG)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in _files(stage):
                entry = zipfile.ZipInfo(path.relative_to(stage).as_posix(), _DATE)
                mode = 0o755 if path.parent.name == "bin" else 0o644  # whatever the umask was
                entry.external_attr = (0o100000 | mode) << 16
                entry.create_system = 3  # Unix, wherever it is built
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
    draft.chmod(0o755)
    draft.replace(target)


def _installed_example() -> str:
    """Return the example with systemd's freezer, which an install brings, in use."""
    text = (AGENT / "agent.example.toml").read_text()
    if _SOCKET not in text:
        raise PackagingError(f"agent.example.toml no longer has the line {_SOCKET.strip()}")
    return text.replace(_SOCKET, _SOCKET.removeprefix("# "))


def build_wheel(folder: Path) -> Path:
    """With the locked hatchling, which gives every file one date."""
    _run((sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)), AGENT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _install_locked(folder: Path) -> None:
    """By uv, in seconds; else by pip, which takes longer but reads its configuration."""
    hashed = ("--require-hashes", "--only-binary", ":all:", "-r", str(LOCK))
    locked = (*hashed, "--target", str(folder))
    uv = str(Path(sys.executable).with_name("uv"))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-compile")
    try:
        _run((uv, "pip", "install", "--python-version", "3.11", "--link-mode", "copy", *locked))
    except PackagingError:
        _run((*pip, "--quiet", *locked))
    if compiled := [path.name for path in folder.rglob("*.so")]:
        raise PackagingError(f"{compiled[0]} is compiled: it would run on one kind of host alone")


def _trim(site_packages: Path) -> None:
    """Keep the descriptions of the services that the agent calls: botocore has 400, 20 MB of them.

    The files beside the folders (endpoints, partitions, retries) are needed for each.
    """
    for path in (site_packages / "botocore" / "data").iterdir():
        if path.is_dir() and path.name not in _SERVICES:
            shutil.rmtree(path)
    shutil.rmtree(site_packages / "bin", ignore_errors=True)  # jmespath's command


def _digest(stage: Path) -> str:
    digest = hashlib.sha256()
    for path in _files(stage):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(stage).as_posix()}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def _files(stage: Path) -> Iterable[Path]:
    paths = (path for path in stage.rglob("*") if path.is_file())
    return sorted(paths, key=lambda path: path.relative_to(stage).as_posix())


def _run(argv: tuple[str, ...], cwd: Path = ROOT) -> None:
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    except OSError as error:
        raise PackagingError(f"{argv[0]}: {error.strerror}: run `make setup`") from error
    if done.returncode:
        raise PackagingError(f"{' '.join(argv[:4])}: {done.stderr.strip() or done.stdout.strip()}")


def main() -> int:
    """Build, and say what was built."""
    try:
        built = build()
    except PackagingError as error:
        print(f"agent-package: {error}", file=sys.stderr)
        return 1
    for path in (built.wheel, built.pyz):
        size_kb = path.stat().st_size // 1000
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(re.sub(r"^.*/build/", "build/", str(path)), f"{size_kb} kB", f"sha256:{digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
