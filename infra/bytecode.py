"""The bytecode of the Lambdas' asset, made by the Lambdas' own Python.

Lambda mounts the code read-only: what has no bytecode is compiled anew at every cold start, which
is a quarter of ours. Bytecode of another Python is ignored. So where that Python is found, beside
the one that synthesizes or as the same, the asset has it; elsewhere it has none, and works as well.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

RUNTIME: Final = "python3.13"
"""The Lambdas' Python, as `infra.functions` deploys it."""

_NEVER_LOADED: Final = r"/aws_lambda_powertools/(event_handler|utilities)/"
"""More than half of Powertools, which no handler of ours imports."""


def runtime_python() -> str | None:
    """Return an interpreter that makes the Lambdas' bytecode, if there is one that works."""
    if f"python{sys.version_info.major}.{sys.version_info.minor}" == RUNTIME:
        return sys.executable
    found = shutil.which(RUNTIME)
    # A version manager's stand-in is found too where that version is not chosen, and then fails.
    works = found and _run(found, "-c", "").returncode == 0
    return found if works else None


def compile_folder(folder: Path, python: str) -> None:
    """Put the bytecode beside its source. Raises CalledProcessError.

    By unchecked hash: a zip need not keep the times of files, by which Python would judge it.
    """
    shown_as = ("-s", str(folder), "-p", "/var/task")  # in a traceback
    options = ("-q", "--invalidation-mode", "unchecked-hash", "-x", _NEVER_LOADED, *shown_as)
    _run(python, "-m", "compileall", *options, str(folder)).check_returncode()


def _run(*argv: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(argv, capture_output=True, check=False)  # noqa: S603 - a Python
