"""Everything that may be slow or refused, before anything is held; each check by its name."""

import os
from collections.abc import Callable

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config
from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError, FreezerUnavailableError, HostError
from holdstill_agent.freezer import Freezer
from holdstill_agent.locks import require_permitted
from holdstill_agent.mountinfo import Mounts
from holdstill_agent.position import read_position
from holdstill_agent.volumes import find_volumes
from holdstill_protocol.messages import Check, Lock, RefusalCode

QUIET_MS = 200
"""A freeze writes what is dirty while it holds all writers: 200 ms of it is the most we ask for."""

_AGAIN_AFTER_S = 0.25

# SHOW leaves out what a server does not know, where SELECT @@name would fail.
_WHERE_IT_WRITES = """SHOW GLOBAL VARIABLES WHERE Variable_name IN (
    'datadir', 'log_bin_basename', 'relay_log_basename', 'innodb_log_group_home_dir',
    'innodb_data_home_dir', 'innodb_undo_directory', 'innodb_doublewrite_dir', 'aria_log_dir_path'
)"""

Pause = Callable[[float], bool]
"""Waits that many seconds; returns whether the pre-flight is still wanted."""


class Preflight:
    """One pre-flight: its checks, and what it connected. `close` unless they are taken over."""

    def __init__(self, config: Config, until_ms: int, pause: Pause) -> None:
        self._config = config
        self._until_ms = until_ms
        self._pause = pause
        self.checks: list[Check] = []
        self.volumes: tuple[str, ...] = ()
        self.freezer: Freezer | None = None
        self.database: Database | None = None
        self.code: RefusalCode | None = None

    def run(self) -> None:
        """Make all checks; `code` is None if all passed."""
        config = self._config
        self._check("volumes", self._volumes)
        if config.freeze:
            self._check("own files", self._own_files)
            # Before the database: a process that is started later must not inherit its socket.
            self._check("freezer", self._freezer)
        if config.lock is not Lock.NONE:
            self._check("database", self._database)
            self._check("privileges", self._privileges)
        if config.freeze:
            self._check("database's files", self._database_files)
            self._check("quiet", self._quiet)

    def failures(self) -> str:
        """Return what did not pass, for a person."""
        return "; ".join(f"{one.name}: {one.detail}" for one in self.checks if not one.passed)

    def close(self) -> None:
        """Disconnect."""
        if self.freezer:
            self.freezer.close()
        if self.database:
            self.database.close()

    def _check(self, name: str, probe: Callable[[], str | None]) -> None:
        """Make one check; a probe that returns None could not look, as another check failed."""
        try:
            detail = probe()
        except HostError as error:
            self.checks.append(Check(name, passed=False, detail=str(error)))
            unavailable = isinstance(error, FreezerUnavailableError)
            self.code = self.code or (error.code if unavailable else RefusalCode.PREFLIGHT_FAILED)
        else:
            if detail is not None:
                self.checks.append(Check(name, passed=True, detail=detail))

    def _volumes(self) -> str:
        self.volumes = find_volumes(self._config.mounts, Mounts.now())
        return ", ".join(self.volumes)

    def _own_files(self) -> str:
        for path in (self._config.run_dir, str(self._config.path)):
            if self._is_held(path):
                raise CheckFailedError(f"{path} is on a filesystem that is to be frozen: move it")
        return "none on a filesystem that is to be frozen"

    def _freezer(self) -> str:
        self.freezer = Freezer.start(self._config)
        if self.freezer.budget_ms != self._config.budget_ms:
            raise CheckFailedError(
                f"it allows {self.freezer.budget_ms / 1000:g} s, agent.toml now says"
                f" {self._config.budget_ms / 1000:g} s: restart the agent"
            )
        return f"ready, freezes for at most {self.freezer.budget_ms / 1000:g} s"

    def _database(self) -> str:
        config = self._config
        self.database = Database.connect(config.option_file, config.lock_wait_timeout_s)
        return f"connected to {self.database.version}"

    def _privileges(self) -> str | None:
        if self.database is None:
            return None
        require_permitted(self._config.lock, self.database)
        position = read_position(self.database)
        log = f"{position.file}:{position.offset}" if position.file else "off"
        return f'may lock by "{self._config.lock}"; binary log {log}'

    def _database_files(self) -> str | None:
        """Whatever the database writes must be on the mounts, or the copy is of half of it."""
        if self.database is None or self.code:
            return None
        places = dict(self.database.execute(_WHERE_IT_WRITES))
        datadir = places["datadir"]
        for variable, place in places.items():
            path = os.path.join(datadir, place)  # noqa: PTH118 - as the server joins them
            if place and not self._is_held(path):
                raise CheckFailedError(
                    f"{variable}: {path} is on none of [[mounts]]: add its mount"
                )
        return f"{datadir} and the logs are on the mounts"

    def _is_held(self, path: str) -> bool:
        mounted = Mounts.now()
        return any(mounted.freeze_holds(mount.path, path) for mount in self._config.mounts)

    def _quiet(self) -> str | None:
        if self.freezer is None or self.code:
            return None
        give_up_at_ms = min(self._until_ms, monotonic_ms() + self._config.quiet_patience_ms)
        while (took_ms := self.freezer.sync(self._until_ms, self._is_wanted)) >= QUIET_MS:
            if monotonic_ms() >= give_up_at_ms:
                raise CheckFailedError(f"syncfs still takes {took_ms} ms: too much is written")
            if not self._pause(_AGAIN_AFTER_S):
                raise CheckFailedError("no longer wanted")
        return f"syncfs took {took_ms} ms"

    def _is_wanted(self) -> bool:
        return self._pause(0)
