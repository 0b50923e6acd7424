"""Builds the asset that the Lambdas share, without Docker and without a download.

The dependencies are copied from the environment that runs the synth, which was installed from
hash-checked locks; they must be the versions of the Lambdas' own lock and pure Python, so that
they run under the Lambdas' interpreter and processor as well. boto3 comes with the runtime.

Where the Lambdas' own Python is found, their bytecode is in the asset too (`infra.bytecode`).
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from typing import Final

from infra import bytecode
from infra.errors import InfraError

_PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
_LEFT_OUT: Final = frozenset({"__pycache__", "tests", "bin", ".."})
_INSTALLERS: Final = frozenset({"RECORD", "INSTALLER", "REQUESTED", "WHEEL", "direct_url.json"})
"""What an installer wrote into a distribution's metadata: it differs between pip and uv."""


class AssetError(InfraError):
    """The Lambdas' asset cannot be built from what is installed here."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A folder with the Lambdas' code; the digest names its content and nothing else."""

    folder: Path
    digest: str


def build_asset(root: Path) -> Asset:
    """Return the asset of the project at `root`, building it only if its content is new.

    Raises AssetError when an installed dependency is not what the lock says.
    """
    files = dict(_sources(root)) | dict(_dependencies(root / "requirements" / "lambda.txt"))
    contents = {name: path.read_bytes() for name, path in sorted(files.items())}
    python = bytecode.runtime_python()
    digest = _digest({**contents, "bytecode": bytecode.RUNTIME.encode() if python else b"none"})
    folder = root / "build" / "lambda" / digest
    if not folder.exists():
        _publish(folder, lambda draft: _write(draft, contents, python))
    return Asset(folder, digest)


def with_files(asset: Asset, contents: Mapping[str, bytes]) -> Asset:
    """Return an asset that has these files by their places beside all of the other's.

    What is told to some functions alone goes there, so that a change of it deploys no other.
    """
    digest = _digest({**dict(sorted(contents.items())), "asset": asset.digest.encode()})
    folder = asset.folder.parent / digest

    def fill(draft: Path) -> None:
        shutil.copytree(asset.folder, draft, dirs_exist_ok=True)
        _write(draft, contents, python=None)

    if not folder.exists():
        _publish(folder, fill)
    return Asset(folder, digest)


def _sources(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield our own modules by their place in the asset."""
    for package in (root / "functions", root / "agent" / "src" / "holdstill_protocol"):
        for path in package.rglob("*.py"):
            name = path.relative_to(package.parent)
            if _LEFT_OUT.isdisjoint(name.parts):
                yield name.as_posix(), path


def _dependencies(lock: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of every distribution that the lock pins, licences included."""
    for name, version in _PINNED.findall(lock.read_text(encoding="utf-8")):
        installed = _installed(name, version, lock)
        for file in installed.files or ():
            place = PurePosixPath(file)
            if _LEFT_OUT.isdisjoint(place.parts) and place.name not in _INSTALLERS:
                yield place.as_posix(), Path(str(installed.locate_file(file)))


def _installed(name: str, version: str, lock: Path) -> Distribution:
    mend = "install requirements/dev.txt again (make setup does)"
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        raise AssetError(f"{name} is not installed: {mend}") from None
    if installed.version != version:
        raise AssetError(
            f"{name} {installed.version} is installed, but {lock.name} pins {version}: {mend}"
        )
    if "Root-Is-Purelib: true" not in (installed.read_text("WHEEL") or ""):
        raise AssetError(f"{name} has compiled parts, which would not run on Lambda's processor")
    return installed


def _digest(contents: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(f"{name}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _write(folder: Path, contents: Mapping[str, bytes], python: str | None) -> None:
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if python:
        bytecode.compile_folder(folder, python)


def _publish(folder: Path, fill: Callable[[Path], None]) -> None:
    """Write the folder as a whole or not at all: two synths may run at once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix="draft-"))
    try:
        fill(draft)
        for path in (draft, *draft.rglob("*")):  # whatever the umask: Lambda has a user of its own
            path.chmod(0o755 if path.is_dir() else 0o644)
        try:
            draft.rename(folder)
        except OSError:
            if not folder.exists():  # else another synth was faster, with the same content
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
