"""The one asset of all Lambdas: complete, small, pure, and the same whenever its sources are."""

import errno
import importlib.metadata
import importlib.util
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from infra import bytecode
from infra.asset import Asset, AssetError, build_asset

ROOT = Path(__file__).parents[2]
RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")
"""What Lambda's own Python runtime brings: boto3 and what it stands on."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with one function, the protocol's folder and the real lock."""
    for name in ("functions/backup.py", "agent/src/holdstill_protocol/messages.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text("WORD = 1\n")
    (tmp_path / "requirements").mkdir()
    shutil.copy(ROOT / "requirements" / "lambda.txt", tmp_path / "requirements")
    return tmp_path


def test_the_handlers_find_all_they_import(asset: Asset, tmp_path: Path) -> None:
    """With the asset and Lambda's own boto3 alone, every handler imports."""
    for name in RUNTIME:
        spec = importlib.util.find_spec(name)
        assert spec
        assert spec.origin
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (tmp_path / source.name).symlink_to(source)
    code = (
        f"import sys; sys.dont_write_bytecode = True; sys.path[:0] = [{str(asset.folder)!r}, "
        f"{str(tmp_path)!r}]; import functions.backup, functions.sweep, "
        "functions.collect_uploads, functions.invalidate, functions.bucket_notifications"
    )
    environment = {"POWERTOOLS_SERVICE_NAME": "x", "POWERTOOLS_METRICS_NAMESPACE": "x"}
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-s", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_asset_is_small_and_pure(asset: Asset, tmp_path: Path) -> None:
    """Under 2 MB zipped, no machine code, no boto3, no tests, and the licences are there."""
    archive = Path(shutil.make_archive(str(tmp_path / "asset"), "zip", asset.folder))
    assert archive.stat().st_size < 2_000_000
    names = [path.relative_to(asset.folder) for path in asset.folder.rglob("*")]
    assert not [name for name in names if name.suffix in {".so", ".pyd"}]
    assert not {"boto3", "botocore", "tests"} & {part for name in names for part in name.parts}
    assert [name for name in names if "LICENSE" in name.name.upper()]


def test_it_has_the_bytecode_of_the_lambdas_python(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled once, not at every cold start; what no handler loads is left out."""
    version = sys.version_info
    monkeypatch.setattr(bytecode, "RUNTIME", f"python{version.major}.{version.minor}")
    folder = build_asset(project).folder
    compiled = {path.name.split(".")[0]: path for path in folder.rglob("*.pyc")}
    assert {"backup", "messages", "logger"} <= compiled.keys()
    assert "api_gateway" not in compiled
    unchecked_hash = (1).to_bytes(4, "little")  # PEP 552: a zip need not keep files' times
    assert compiled["backup"].read_bytes()[4:8] == unchecked_hash


def test_without_that_python_it_has_none(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another Python's bytecode would be ignored; and the digest tells the two assets apart."""
    monkeypatch.setattr(bytecode, "RUNTIME", "python3.0")
    plain = build_asset(project)
    assert not list(plain.folder.rglob("*.pyc"))
    monkeypatch.undo()
    monkeypatch.setattr(bytecode, "runtime_python", lambda: sys.executable)
    assert build_asset(project).digest != plain.digest


def test_the_same_sources_give_the_same_asset(project: Path) -> None:
    """The digest follows from the content alone, so that an unchanged function is not deployed."""
    first = build_asset(project)
    shutil.rmtree(first.folder)
    assert build_asset(project) == first
    (project / "functions" / "__pycache__").mkdir()
    (project / "functions" / "__pycache__" / "backup.cpython-313.pyc").touch()
    assert build_asset(project) == first
    (project / "functions" / "backup.py").write_text("WORD = 2\n")
    changed = build_asset(project)
    assert changed.digest != first.digest
    assert (changed.folder / "functions" / "backup.py").read_text() == "WORD = 2\n"


def test_a_failed_build_leaves_no_half_asset(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is there as a whole or not at all, so that its presence can be trusted."""
    whole = build_asset(project)
    contents = contents_of(whole.folder)
    shutil.rmtree(whole.folder)
    written: list[Path] = []
    write = Path.write_bytes

    def write_one(path: Path, content: bytes) -> int:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        return write(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", write_one)
        with pytest.raises(OSError, match="No space left"):
            build_asset(project)
    assert written
    assert list(whole.folder.parent.iterdir()) == []
    assert contents_of(build_asset(project).folder) == contents


def contents_of(folder: Path) -> dict[Path, bytes]:
    """Return the files of a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.read_bytes() for path in files}


def test_the_asset_can_be_read_by_anybody(project: Path) -> None:
    """Lambda runs it as another user, and CDK packs the modes as they are."""
    before = os.umask(0o077)
    try:
        folder = build_asset(project).folder
    finally:
        os.umask(before)
    modes = {
        (path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in (folder, *folder.rglob("*"))
    }
    assert modes == {(True, 0o755), (False, 0o644)}


def test_a_dependency_of_another_version_is_refused(project: Path) -> None:
    """What is deployed is what the lock says, not what happens to be installed."""
    lock = project / "requirements" / "lambda.txt"
    lock.write_text(lock.read_text().replace("jmespath==", "jmespath==0."))
    with pytest.raises(AssetError, match=r"jmespath .* is installed, but lambda.txt pins 0\."):
        build_asset(project)


def test_a_dependency_with_compiled_parts_is_refused(project: Path) -> None:
    """A wheel for this machine would not run on Lambda's processor."""
    version = importlib.metadata.version("numpy")
    (project / "requirements" / "lambda.txt").write_text(f"numpy=={version}\n")
    with pytest.raises(AssetError, match="numpy has compiled parts"):
        build_asset(project)
