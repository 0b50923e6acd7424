"""One function in a process of its own, with what Lambda gives it and nothing else.

The emulator runs Lambdas with the lab's own packages on their path, which would hide a dependency
that is missing from the asset, and add to a cold start whatever else is installed.
"""

import compileall
import hashlib
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import SimpleQueue
from typing import Any, Final

from lab.children import tail
from lab.errors import ChildFailedError
from lab.runtime_api import Mark, Step, runtime_api

_BROUGHT: Final = (
    *("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "urllib3", "six"),
    *("awslambdaric", "simplejson", "snapshot-restore-py"),
)
"""The distributions in Lambda's Python runtime: boto3, the Runtime API's client, their needs."""

_VERSION: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
_PATIENCE_S: Final = 60.0
_LAST: Final = frozenset({Step.ANSWERED, Step.FAILED, Step.UNFIT})


@dataclass(frozen=True, slots=True)
class ColdStart:
    """The first invocation of a new process. Times are ms since the process was started.

    `asked_ms` is None when the module could not be imported, `called_ms` and `action` when AWS
    was asked for nothing. `last` is what came of the invocation, `result` its answer or error.
    """

    asked_ms: float | None
    called_ms: float | None
    action: str | None
    last: Step
    last_ms: float
    result: Any


def runtime_site(folder: Path) -> Path:
    """Return a folder under `folder` with the runtime's packages, compiled, made once a version."""
    found = {name: distribution(name) for name in _BROUGHT}
    versions = "\n".join([sys.version, *(f"{name}=={it.version}" for name, it in found.items())])
    site = folder / f"site-{hashlib.sha256(versions.encode()).hexdigest()[:16]}"
    if site.exists():
        return site
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder, prefix="draft-"))
    try:
        for brought in found.values():
            for file in brought.files or ():
                if not {"..", "__pycache__"} & set(file.parts):
                    (draft / file).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(str(file.locate()), draft / file)
        compile_in_place(draft)
        draft.rename(site)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return site


def compile_in_place(folder: Path) -> None:
    """Add this interpreter's bytecode, which is taken without a look at the source."""
    compileall.compile_dir(
        str(folder), quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
    )


def cold_start(
    task: Path,
    handler: str,
    event: Mapping[str, object],
    *,
    site: Path,
    log: Path,
    environment: Mapping[str, str],
) -> ColdStart:
    """Start `handler` of the code in `task` under awslambdaric and let it answer one event.

    Raise ChildFailedError when it does not answer.
    """
    with runtime_api(event) as (address, marks), log.open("wb") as output:
        began_ns = time.monotonic_ns()
        process = subprocess.Popen(
            # -S leaves this environment's packages out, -P the working directory.
            [sys.executable, "-S", "-s", "-P", "-m", "awslambdaric", handler],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_environment(address, task, site) | dict(environment),
            cwd=task,
        )
        try:
            return _followed(marks, began_ns, process, log)
        finally:
            process.kill()
            process.wait()


def _followed(
    marks: "SimpleQueue[Mark]", began_ns: int, process: subprocess.Popen[bytes], log: Path
) -> ColdStart:
    seen: dict[Step, Mark] = {}
    deadline = time.monotonic() + _PATIENCE_S
    while not _LAST & seen.keys():
        try:
            mark = marks.get(timeout=0.5)
        except queue.Empty:
            if process.poll() is not None or time.monotonic() > deadline:
                raise ChildFailedError(f"the function did not answer\n{tail(log)}") from None
        else:
            seen.setdefault(mark.step, mark)
    (last,) = _LAST & seen.keys()

    def ms(step: Step) -> float | None:
        return (seen[step].at_ns - began_ns) / 1e6 if step in seen else None

    return ColdStart(
        asked_ms=ms(Step.ASKED),
        called_ms=ms(Step.CALLED),
        action=seen[Step.CALLED].detail if Step.CALLED in seen else None,
        last=last,
        last_ms=(seen[last].at_ns - began_ns) / 1e6,
        result=seen[last].detail,
    )


def _environment(address: str, task: Path, site: Path) -> dict[str, str]:
    """Return what Lambda sets, with AWS at `address` and the code read-only, as in /var/task."""
    return {
        "AWS_LAMBDA_RUNTIME_API": address,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{_VERSION}",
        "AWS_LAMBDA_FUNCTION_NAME": "cold-start",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/cold-start",
        "AWS_LAMBDA_LOG_STREAM_NAME": "cold-start",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": "ap-northeast-1",
        "AWS_DEFAULT_REGION": "ap-northeast-1",
        "AWS_ACCESS_KEY_ID": "lab",
        "AWS_SECRET_ACCESS_KEY": "lab",
        "AWS_SESSION_TOKEN": "lab",
        "AWS_ENDPOINT_URL": f"http://{address}",
        "LAMBDA_TASK_ROOT": str(task),
        "HOME": str(task),
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PATH": os.defpath,
        "PYTHONPATH": f"{task}{os.pathsep}{site}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
