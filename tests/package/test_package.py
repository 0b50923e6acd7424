"""The one file that a host needs: how it is built, and which Python it takes."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import agent_package
from tests.package.installing import fit_python

pytestmark = [pytest.mark.root, pytest.mark.slow]

ENTRY = Path(__file__).parents[2] / "agent" / "pyz" / "__main__.py"

READ_BY_ANY_PYTHON = (
    *(ast.Module, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.arguments, ast.alias),
    *(ast.Assign, ast.Expr, ast.If, ast.For, ast.Return, ast.Call, ast.Compare, ast.BinOp),
    *(ast.BoolOp, ast.Attribute, ast.Subscript, ast.Slice, ast.Name, ast.Constant, ast.Tuple),
    *(ast.List, ast.operator, ast.cmpop, ast.boolop, ast.expr_context),
)


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


def test_agent_runs_without_being_installed(package: Path, tmp_path: Path) -> None:
    """`run` starts the agent from the file itself, with its exit code, and leaves nothing."""
    argv = (fit_python(), package, "run", "--config", "/nowhere/agent.toml", "--check")
    environment = {"TMPDIR": str(tmp_path), "PATH": os.defpath}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "/nowhere/agent.toml: cannot be read" in done.stderr
    assert not list(tmp_path.iterdir())
