"""The shipped agent on the host: its configuration, its own installation, its process."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.host.child import REPOSITORY, Child, dying_with_parent, hurried, run
from lab.host.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LOCKED = REPOSITORY / "requirements" / "agent.txt"
DISTRIBUTION = REPOSITORY / "agent"
INSTALL_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """What the lab varies in agent.toml; the paths come from the host. None: left out."""

    target: str
    commands_url: str
    replies_url: str
    region: str | None = None
    lock: str = "ftwrl"
    lock_wait_timeout_s: float = 2
    freeze: bool = True
    budget_s: float = 10
    rcu_expedited: bool = True
    kill_queries_older_than_s: float | None = None
    pause_replication: bool | None = None
    client_user: str | None = None
    quiet_patience_s: float | None = None
    max_clock_skew_s: float | None = None
    before_lock: tuple[str, ...] | None = None
    before_lock_timeout_s: float | None = None
    after_unlock: tuple[str, ...] | None = None
    after_unlock_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class AgentPaths:
    """Where things are on the host, for agent.toml.

    Each mount comes with its volume ids: a loop device has no serial number that tells them.
    """

    run_dir: Path
    state_dir: Path
    mounts: tuple[tuple[Path, Sequence[str]], ...]
    option_file: Path | None = None
    freezer_socket: Path | None = None


def agent_toml(config: AgentConfig, paths: AgentPaths) -> str:
    """Return the text of agent.toml."""
    top = {
        "target": config.target,
        "commands_url": config.commands_url,
        "replies_url": config.replies_url,
        "region": config.region,
        "state_dir": str(paths.state_dir),
    }
    mysql = {
        "option_file": paths.option_file and str(paths.option_file),
        "lock": config.lock,
        "lock_wait_timeout_s": config.lock_wait_timeout_s,
        "kill_queries_older_than_s": config.kill_queries_older_than_s,
        "pause_replication": config.pause_replication,
    }
    freeze = {
        "enabled": config.freeze,
        "budget_s": config.budget_s,
        "rcu_expedited": config.rcu_expedited,
        "run_dir": str(paths.run_dir),
        "socket": paths.freezer_socket and str(paths.freezer_socket),
        "client_user": config.client_user,
    }
    limits = {
        "quiet_patience_s": config.quiet_patience_s,
        "max_clock_skew_s": config.max_clock_skew_s,
    }
    hooks = {
        "before_lock": config.before_lock,
        "before_lock_timeout_s": config.before_lock_timeout_s,
        "after_unlock": config.after_unlock,
        "after_unlock_timeout_s": config.after_unlock_timeout_s,
    }
    sections: list[tuple[str, Mapping[str, object]]] = [
        ("", top),
        *(("[[mounts]]", {"path": str(path), "volumes": list(ids)}) for path, ids in paths.mounts),
        ("[mysql]", mysql),
        ("[freeze]", freeze),
        ("[limits]", limits),
        ("[hooks]", hooks),
    ]
    given = [(head, keys) for head, keys in sections if any(v is not None for v in keys.values())]
    return "\n".join("\n".join(_section(head, keys)) + "\n" for head, keys in given)


def install_agent(build: Path) -> Path:
    """Install the agent as a host would, and return its interpreter.

    A virtual environment of its own, with the locked requirements and the distribution: what it
    forgot to declare is missing here too. Kept under `build`, keyed by its content. ProgramError
    if pip fails.
    """
    build.mkdir(parents=True, exist_ok=True)
    environment = build / f"agent-{_content_key()}"
    python = environment / "bin" / "python"
    complete = environment / "complete"
    with (build / "agent.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two labs may start at once
        if complete.exists():
            return python
        shutil.rmtree(environment, ignore_errors=True)
        run(sys.executable, "-m", "venv", str(environment), timeout_s=INSTALL_WITHIN_S)
        _install(python, "--require-hashes", "-r", str(LOCKED))
        _install(python, "--no-deps", str(DISTRIBUTION))
        complete.touch()
    return python


def start_agent(python: Path, config: Path, env: Mapping[str, str], log: Path) -> Child:
    """Start the agent as a process of its own; `env` says how it reaches AWS.

    It sees nothing else of the lab's environment, and its directory is not the repository: only
    what was installed can be imported.
    """
    outside = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONUNBUFFERED": "1", **env}
    argv = [str(python), "-m", "holdstill_agent", "--config", str(config)]
    return Child(dying_with_parent(hurried(argv)), log=log, env=outside, cwd=config.parent)


def _install(python: Path, *what: str) -> None:
    """Install by uv, in seconds; else by pip, which takes a minute but reads its configuration."""
    uv = Path(sys.executable).with_name("uv")
    try:
        argv = (str(uv), "pip", "install", "--quiet", "--python", str(python))
        run(*argv, *what, timeout_s=INSTALL_WITHIN_S)
    except ProgramError:
        argv = (str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
        run(*argv, *what, timeout_s=INSTALL_WITHIN_S)


def _section(head: str, keys: Mapping[str, object]) -> Iterator[str]:
    if head:
        yield head
    for key, value in keys.items():
        if value is not None:
            yield f"{key} = {json.dumps(value)}"  # JSON's strings, numbers and lists are TOML's


def _content_key() -> str:
    digest = hashlib.sha256(f"{sys.version} {sys.executable}".encode())
    sources = [path for path in DISTRIBUTION.rglob("*") if path.suffix in {".py", ".toml", ".md"}]
    for path in (LOCKED, *sorted(sources)):
        if "build" not in path.relative_to(REPOSITORY).parts:
            digest.update(str(path.relative_to(REPOSITORY)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
