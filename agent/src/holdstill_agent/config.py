"""agent.toml: read once, checked whole. The freezer reads the same file for itself."""

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdstill_agent.errors import ConfigError
from holdstill_agent.toml_table import TomlTable
from holdstill_protocol.messages import Lock

_TARGET = r"[a-z][a-z0-9-]{0,47}"
# Plain http only to this very machine: an emulator.
_QUEUE_URL = r"https://[^\s/]+/\S+|http://(localhost|127\.0\.0\.1)(:\d+)?/\S+"
_ABSOLUTE = r"/[^\0\n]*"
_VOLUME = r"vol-([0-9a-f]{8}|[0-9a-f]{17})"
_WORD = r"[^\0]+"
_USER = r"[a-z_][a-z0-9_-]{0,31}"
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class MountConfig:
    """A mount point to freeze. `volumes`: its EBS volumes, where the device does not tell."""

    path: str
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HookConfig:
    """A command of the operator's, as a list: there is no shell between. Killed at its time."""

    argv: tuple[str, ...]
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file. Times are milliseconds, but for MySQL's own, which counts seconds.

    `kill_queries_older_than_s`: None where no query may ever be killed. `state_dir` is the
    agent's own, `run_dir` the freezer's.
    """

    path: Path
    target: str
    commands_url: str
    replies_url: str
    region: str
    mounts: tuple[MountConfig, ...]
    option_file: str
    lock: Lock
    lock_wait_timeout_s: int
    kill_queries_older_than_s: int | None
    pause_replication: bool
    freeze: bool
    budget_ms: int
    run_dir: str
    state_dir: str
    freezer_socket: str | None
    max_clock_skew_ms: int
    quiet_patience_ms: int
    before_lock: HookConfig | None
    after_unlock: HookConfig | None


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read and check the file; ConfigError has every fault."""
    try:
        with path.open("rb") as file:
            unsafe = _unsafe(os.fstat(file.fileno()))
            document = tomllib.loads(file.read().decode())
    except OSError as error:
        raise ConfigError(str(path), (f"cannot be read: {error.strerror}",)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), (f"is not TOML: {error}",)) from error
    config = parse(document, path, environ)
    if unsafe and (config.before_lock or config.after_unlock):  # the freezer refuses it anyway
        raise ConfigError(str(path), (unsafe,))
    return config


def _unsafe(status: os.stat_result) -> str:
    """Return why others could tell this process which hooks to run; the freezer's rule as well."""
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to user {status.st_uid}, who could have hooks run: chown it to root"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "is writable by others, who could have hooks run: chmod go-w it"
    return ""


def parse(document: Mapping[str, Any], path: Path, environ: Mapping[str, str]) -> Config:
    """Check a document; ConfigError has every fault."""
    faults: list[str] = []
    top = TomlTable(document, faults)
    mysql, freeze, limits = top.table("mysql"), top.table("freeze"), top.table("limits")
    hooks = top.table("hooks")
    lock = mysql.choice("lock", Lock, Lock.FTWRL)
    absolute = "an absolute path"
    config = Config(
        path=path,
        target=top.text("target", _TARGET, "1 to 48 of a-z, 0-9 and -, beginning with a letter"),
        commands_url=top.text("commands_url", _QUEUE_URL, "the https:// URL of an SQS queue"),
        replies_url=top.text("replies_url", _QUEUE_URL, "the https:// URL of an SQS queue"),
        region=_region(top, environ),
        mounts=_mounts(top),
        option_file=mysql.text(
            "option_file", _ABSOLUTE, absolute, "/" if lock is Lock.NONE else None
        ),
        lock=lock,
        # All writers stall meanwhile, and the conductor waits for 15 s in all.
        lock_wait_timeout_s=mysql.whole_seconds("lock_wait_timeout_s", 1, 5, 2),
        # 0 is never, as absent.
        kill_queries_older_than_s=mysql.whole_seconds("kill_queries_older_than_s", 0, _DAY_S, 0)
        or None,
        pause_replication=mysql.flag("pause_replication", default=False),
        freeze=freeze.flag("enabled", default=True),
        budget_ms=int(freeze.seconds("budget_s", 0.1, 60, 10) * 1000),
        run_dir=_plain_path(freeze, "run_dir", "/run/holdstill"),
        state_dir=_shortened(top.text("state_dir", _ABSOLUTE, absolute, "/var/lib/holdstill")),
        freezer_socket=freeze.text("socket", _ABSOLUTE, absolute) if freeze.has("socket") else None,
        max_clock_skew_ms=int(limits.seconds("max_clock_skew_s", 1, 60, 2) * 1000),
        quiet_patience_ms=int(limits.seconds("quiet_patience_s", 0, 300, 30) * 1000),
        before_lock=_hook(hooks, "before_lock"),
        after_unlock=_hook(hooks, "after_unlock"),
    )
    freeze.flag("rcu_expedited", default=True)  # this and the next are the freezer's own
    freeze.text("client_user", _USER, "the name of a user", "holdstill")
    if config.commands_url and config.commands_url == config.replies_url:
        top.fault("replies_url", "is the commands' own queue: the agent would answer itself")
    for table in (top, mysql, freeze, limits, hooks):
        table.close()
    if faults:
        raise ConfigError(str(path), tuple(faults))
    return config


def _region(top: TomlTable, environ: Mapping[str, str]) -> str:
    """boto3 itself reads AWS_DEFAULT_REGION alone; everything else of AWS sets AWS_REGION too."""
    known = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    return top.text("region", r"[a-z]{2}(-[a-z]+)+-\d", "a Region, as ap-northeast-1", known)


def _hook(hooks: TomlTable, name: str) -> HookConfig | None:
    argv = hooks.texts(name, _WORD, "texts, the command and each of its arguments")
    timeout_ms = int(hooks.seconds(f"{name}_timeout_s", 0.1, 600, 30) * 1000)
    if not argv:  # an empty list is none
        return None
    if not argv[0].startswith("/"):
        hooks.fault(name, f"begins with {argv[0]!r}: name the command by its absolute path")
    return HookConfig(argv, timeout_ms)


def _plain_path(table: TomlTable, key: str, default: str | None = None) -> str:
    """Return a path that the freezer reads too; its own check has the same rule."""
    path = table.text(key, _ABSOLUTE, "an absolute path", default)
    if not path.isprintable():
        table.fault(key, f"must be of printable characters; it is {path!r}")
    elif ".." in path.split("/"):  # which leads elsewhere where what is before it is a link
        table.fault(key, "write it without ..")
    return _shortened(path)


def _shortened(path: str) -> str:
    """Return it without what leads nowhere: a slash at its end or a second one, and `.`."""
    return path and "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def _mounts(top: TomlTable) -> tuple[MountConfig, ...]:
    mounts: list[MountConfig] = []
    for table in top.tables("mounts"):
        path = _plain_path(table, "path")
        if path in {mount.path for mount in mounts}:
            table.fault("path", f"{path} is named twice")
        volumes = table.texts("volumes", _VOLUME, "volume ids, as vol-0123456789abcdef0")
        mounts.append(MountConfig(path, volumes))
        table.close()
    if top.has("mounts") and not mounts:
        top.fault("mounts", "at least one [[mounts]] is needed")
    return tuple(mounts)
