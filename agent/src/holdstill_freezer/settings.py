"""What the freezer reads of agent.toml: the mounts, the [freeze] table, and whether a lock is."""

import os
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdstill_freezer.errors import BadConfigError, UnsafeConfigError

MAX_BUDGET_S = 60
"""The longest freeze that a configuration may allow; the agent's own check says the same."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Which mounts, in the order of freezing, for how long at most, and where the marker is.

    `client_user`: who may ask for it through a socket, besides root and the freezer's own user.
    `has_database`: whether one is to be consistent, as it is not with mysql.lock = "none".
    """

    mounts: tuple[str, ...]
    budget_ms: int
    rcu_expedited: bool
    run_dir: str
    client_user: str
    has_database: bool


def read_settings(path: Path) -> Settings:
    """Read them; UnsafeConfigError or BadConfigError where they cannot be trusted or used."""
    document = _document(path)
    freeze = _freeze(document)
    return Settings(
        mounts=_mounts(document.get("mounts")),
        budget_ms=_budget_ms(freeze.get("budget_s", 10)),
        rcu_expedited=freeze.get("rcu_expedited", True) is True,
        run_dir=_run_dir(freeze),
        client_user=_user(freeze.get("client_user", "holdstill")),
        has_database=_has_database(document.get("mysql")),
    )


def read_run_dir(path: Path) -> str:
    """Read only where the marker is: a fault elsewhere must keep no filesystem frozen."""
    return _run_dir(_freeze(_document(path)))


def require_only_ours(status: os.stat_result, name: str) -> None:
    """Raise UnsafeConfigError unless only root, or this very user, can write it."""
    if status.st_uid not in (0, os.geteuid()):
        raise UnsafeConfigError(f"{name} belongs to user {status.st_uid}; chown it to root")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnsafeConfigError(f"{name} is writable by others; chmod go-w it")


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            require_only_ours(os.fstat(file.fileno()), str(path))
            return tomllib.load(file)
    except OSError as error:
        raise BadConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfigError(f"{path}: {error}") from error


def _freeze(document: dict[str, Any]) -> dict[str, Any]:
    freeze = document.get("freeze", {})
    if not isinstance(freeze, dict):
        raise BadConfigError("[freeze] must be a table")
    return freeze


def _run_dir(freeze: dict[str, Any]) -> str:
    return _path(freeze.get("run_dir", "/run/holdstill"), "freeze.run_dir")


def _mounts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise BadConfigError("[[mounts]] is missing: there is nothing to freeze")
    paths = [_path(mount.get("path"), "mounts.path") for mount in value if isinstance(mount, dict)]
    if len(paths) != len(value):
        raise BadConfigError("mounts must be written as [[mounts]] tables")
    return tuple(paths)


def _path(value: Any, key: str) -> str:
    """Return it, without slashes too many and `.`; the agent's own check has the same rule."""
    if not isinstance(value, str) or not value.startswith("/") or not value.isprintable():
        raise BadConfigError(f"{key} must be an absolute path of printable characters")
    parts = value.split("/")
    if ".." in parts:  # which leads elsewhere where what is before it is a link
        raise BadConfigError(f"{key} must be written without ..")
    return "/" + "/".join(part for part in parts if part not in ("", "."))


def _has_database(mysql: Any) -> bool:
    return not (isinstance(mysql, dict) and mysql.get("lock") == "none")


def _user(value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise BadConfigError("freeze.client_user must be the name of a user")
    return value


def _budget_ms(value: Any) -> int:
    if type(value) not in (int, float) or not 0 < value <= MAX_BUDGET_S:
        raise BadConfigError(f"freeze.budget_s must be above 0 and at most {MAX_BUDGET_S}")
    return int(value * 1000)
