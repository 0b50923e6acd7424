"""Everything that may be slow or refused, before anything is held; each check by its name.

`mounts`     each path is a mount point, and what is seen there
`own`        the agent's own files are elsewhere, and have room
`place`      the database's server is on this host
`server`     what the database allows, where it writes, how long it keeps a session
`stillness`  nobody else has frozen the filesystem
"""

from collections.abc import Callable
from functools import partial

from holdstill_agent.clock import Pause, monotonic_ms
from holdstill_agent.config import Config
from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError, HostError
from holdstill_agent.freezer import Freezer
from holdstill_agent.guard import post_lookout
from holdstill_agent.hooks import Hooks
from holdstill_agent.lookout import Lookout
from holdstill_agent.mountinfo import Mounts
from holdstill_agent.preflight.mounts import require_mounts, require_same_mounts
from holdstill_agent.preflight.own import require_own_files_elsewhere, require_room
from holdstill_agent.preflight.place import require_this_host
from holdstill_agent.preflight.server import (
    require_files_on_mounts,
    require_lasting_session,
    require_no_general_log,
    require_privileges,
)
from holdstill_agent.preflight.stillness import count_writes, rehearse, still
from holdstill_agent.quiet_moment import await_quiet
from holdstill_agent.replica import find_out
from holdstill_agent.replication import Replication
from holdstill_agent.unfinished import Unfinished
from holdstill_agent.volumes import find_volumes
from holdstill_protocol.messages import Check, Lock, RefusalCode

QUIET_MS = 200
"""A freeze writes what is dirty while it holds all writers: 200 ms of it is the most we ask for."""

_AGAIN_AFTER_S = 0.25

_LOOKS, _LOOK_AGAIN_S = 4, 0.05  # whether something is written; a database is rarely still so long


class Preflight:
    """One pre-flight: its checks, and what it connected. `close` unless they are taken over.

    Without a `run_id` it only looks: no hook runs, and nothing is frozen to see whether it is.
    """

    def __init__(
        self, config: Config, until_ms: int, pause: Pause, run_id: str | None = None
    ) -> None:
        self._config = config
        self._until_ms = until_ms
        self._pause = pause
        self._run_id = run_id
        self._hooks = Hooks(config, Unfinished(config.state_dir))
        self._mounted = Mounts.now()  # once: the volumes are those of what the freezer freezes
        self.checks: list[Check] = []
        self.volumes: tuple[str, ...] = ()
        self.freezer: Freezer | None = None
        self.database: Database | None = None
        self.lookout: Lookout | None = None
        self.code: RefusalCode | None = None

    def run(self) -> None:
        """Make all checks; `code` is None if all passed."""
        config, mounted = self._config, self._mounted
        self._check("mounts", partial(require_mounts, config, mounted))
        self._check("volumes", self._volumes)
        self._check("state", partial(require_room, config))
        self._check("hooks", self._hooks.require_runnable)
        if config.freeze:
            self._check("own files", partial(require_own_files_elsewhere, config, mounted))
            # Before the database: a process that is started later must not inherit its socket.
            self._check("freezer", self._freezer)
            self._check("not frozen", self._not_frozen)
        # Of a server whose files are frozen any answer may have to wait for the stranger's thaw.
        if config.lock is not Lock.NONE and self.code is not RefusalCode.ALREADY_FROZEN:
            self._check("database", self._database)
            self._check_database("privileges", partial(require_privileges, config))
            self._check_database("blockers", self._blockers)
            self._check_database("replication", self._replication)
            self._check_database("session", partial(require_lasting_session, config))
            self._check_database("database's files", self._files)
            if config.freeze:
                self._check_database("general log", self._general_log)
        self._check("before_lock", self._before_lock)
        if config.pause_replication:
            self._check("pause_replication", self._pause_replication)
        self._check("quiet moment", self._quiet_moment)
        if config.freeze:
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
        if self.lookout:
            self.lookout.close()

    def _check(self, name: str, probe: Callable[[], str | None]) -> None:
        """Make one check; a probe that returns None had nothing to look at."""
        try:
            detail = probe()
        except HostError as error:
            self.checks.append(Check(name, passed=False, detail=str(error)))
            database = error.code is RefusalCode.LOCK_FAILED
            self.code = self.code or (RefusalCode.PREFLIGHT_FAILED if database else error.code)
        else:
            if detail is not None:
                self.checks.append(Check(name, passed=True, detail=detail))

    def _check_database(self, name: str, probe: Callable[[Database], str]) -> None:
        """Make a check of the database, if the session has survived the ones before."""
        if self.database and self.database.is_open:
            self._check(name, partial(probe, self.database))

    def _volumes(self) -> str | None:
        if self.code:  # of a mount that is not seen they would be those of another filesystem
            return None
        self.volumes = find_volumes(self._config.mounts, self._mounted)
        return ", ".join(self.volumes)

    def _freezer(self) -> str:
        self.freezer = Freezer.start(self._config)
        self._require_same_settings(self.freezer)
        return f"ready, freezes for at most {self.freezer.budget_ms / 1000:g} s"

    def _require_same_settings(self, freezer: Freezer) -> None:
        """Raise CheckFailedError of a freezer that has read another agent.toml than this agent."""
        if freezer.budget_ms != self._config.budget_ms:
            raise CheckFailedError(
                f"agent.toml now says that it may freeze for {freezer.budget_ms / 1000:g} s, this"
                f" agent has read {self._config.budget_ms / 1000:g} s: restart the agent"
            )
        require_same_mounts(self._config, self._mounted, freezer.devices)

    def _database(self) -> str:
        config = self._config
        self.database = Database.connect(config.option_file, config.lock_wait_timeout_s)
        require_this_host(self.database)
        return f"connected to {self.database.version}"

    def _files(self, database: Database) -> str:
        return require_files_on_mounts(self._config, database, Mounts.now())

    def _general_log(self, database: Database) -> str:
        return require_no_general_log(self._config, database, Mounts.now())

    def _blockers(self, database: Database) -> str:
        self.lookout = post_lookout(self._config, database)
        return str(self.lookout.sight)

    def _replication(self, database: Database) -> str:
        is_replica = find_out(database, pauses=self._config.pause_replication)
        return "a replica" if is_replica else "not a replica"

    def _pause_replication(self) -> str | None:
        if self.database is None or self.code or self._run_id is None:
            return None
        if not self.database.replicates:
            return "not a replica: nothing to stop"
        until_ms = min(self._until_ms, monotonic_ms() + self._config.quiet_patience_ms)
        replication = Replication(self._config)
        return replication.pause(self.database, self._run_id, until_ms, self._pause)

    def _quiet_moment(self) -> str | None:
        """Wait until nobody would keep the lock waiting; without a run nobody is killed for it."""
        if self.lookout is None or self.code:
            return None
        kill_older_than_s = self._config.kill_queries_older_than_s if self._run_id else None
        patience_ms = min(self._until_ms - monotonic_ms(), self._config.quiet_patience_ms)
        return await_quiet(self.lookout, kill_older_than_s, max(0, patience_ms), self._pause)

    def _before_lock(self) -> str | None:
        """Run the operator's command, of a run that nothing else has refused."""
        if self.code or self._run_id is None:
            return None
        return self._hooks.before_lock(self._run_id, self._until_ms, self._pause)

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

    def _not_frozen(self) -> str | None:
        """Make sure that no stranger's freeze is in the way, before the lock would wait for it."""
        if self.freezer is None or self.code:
            return None
        self.freezer.sync(self._until_ms, self._is_wanted)  # a frozen ext4 has some left to write
        before = count_writes(self._config, Mounts.now())
        for _ in range(_LOOKS):
            if not self._pause(_LOOK_AGAIN_S):
                raise CheckFailedError("no longer wanted")
            unproven = still(before, count_writes(self._config, Mounts.now()))
            if not unproven:
                return "something was written just now"
        if self._run_id is None:
            return f"not tried: nothing was written just now to {', '.join(unproven)}"
        self.freezer, found = rehearse(self.freezer, self._config, self._run_id, self._pause)
        self._require_same_settings(self.freezer)  # it has read agent.toml anew
        return found

    def _is_wanted(self) -> bool:
        return self._pause(0)
