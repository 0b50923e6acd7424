"""Where faults play: a host under load with the shipped agent, and the cloud's side of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from lab.faults.cloud import FaultyCloud
from lab.faults.errors import MomentMissedError
from lab.faults.family import Family, children, go_on
from lab.faults.line import Line
from lab.host import AgentConfig, Child, DatabaseHost, install_agent

BUDGET_S = 2
"""The freeze budget in every world: short, so that a deadline costs a trial two seconds."""

TARGET = "recipes-db"
_AGENT_READY_WITHIN_S = 60.0
_MOMENT_WITHIN_S = 10.0
_POLL_S = 0.0005
_RECENT_LOG_BYTES = 10_000  # more than a run says before it is prepared
_BUILD = Path(__file__).parents[2] / "build"


@dataclass(slots=True)
class Trial:
    """What belongs to one trial of one fault, fresh for each.

    `random` draws its moments; the same seed, fault and number draw the same.
    `later` is undone once writers go on (or too late for that), and before the run's end is waited
    for; `undo` only after the aftermath was looked at.
    `began_ns`, `injected_ns`: the machine's monotonic clock. `runs`: the names of the runs begun,
    the judged one last.
    """

    random: Random
    began_ns: int = field(default_factory=time.monotonic_ns)
    injected_ns: int | None = None
    runs: list[str] = field(default_factory=list)
    later: ExitStack = field(default_factory=ExitStack)
    undo: ExitStack = field(default_factory=ExitStack)


class World:
    """One for a whole session: a trial leaves it as it found it, or the session ends.

    A fault's `inject` is written in these words:

    - `begin()`: the conductor starts a run; returns at once;
    - `await_prepared()`, `await_frozen()`: return within a millisecond of that moment;
    - `stop_before_lock()`, `stop_between_lock_and_freeze()`, `stop_while_thawing()`: begin a run
      and return with the freezer stopped (SIGSTOP) at exactly that moment; `go_on(family)` of
      `lab.faults.family` lets it run again;
    - `hold_frozen(for_s)`, before `begin`: CreateSnapshot takes that long, after its copy;
    - `family()`: the pids of agent, freezer and guard while there is a freezer;
    - `inject_now()`: the moment from which the time to the first write is counted;
    - `trial.random`, `trial.later`, `trial.undo`;
    - `host.server.connect()` for SQL, `mount` for the frozen filesystem, `cloud` for queues,
      calls, conductor and clocks.
    """

    def __init__(
        self, host: DatabaseHost, cloud: FaultyCloud, folders: Sequence[Path] = ()
    ) -> None:
        """Take a host that is up, with load and probes, and the Region that it lives in.

        `folders`: where, beside the host's own, this world's disks are.
        """
        self.host = host
        self.cloud = cloud
        self.folders = tuple(folders)
        self.trial = Trial(Random(0))  # noqa: S311 - moments, not secrets
        self.agent: Child
        self.agent_config: Path
        self._python = install_agent(_BUILD)
        self._as_usual = False

    @property
    def mount(self) -> Path:
        """The mount point that is frozen."""
        return self.host.places.mounts[0]

    @property
    def marker(self) -> Path:
        """The freezer's marker: empty while nothing is frozen."""
        return self.host.places.run_dir / "freezer" / "freeze"

    @property
    def agent_log(self) -> Path:
        """What all the agents of this world said: a JSON object a line."""
        return self.host.places.run_dir / "agent.log"

    # --- the agent

    def start_agent(self, environment: Mapping[str, str] | None = None, **changes: Any) -> None:
        """Start the shipped agent and wait until it listens.

        `environment` is added to the cloud's, `changes` are those of `AgentConfig`.
        """
        config = replace(self._config(), **changes)
        self.agent_config = self.host.write_agent_config(
            config, [[volume.id] for volume in self.cloud.volumes]
        )
        self._as_usual = not (environment or changes)
        seen = self._logged()
        self.agent = self.host.start_agent(
            self._python, self.agent_config, {**self.cloud.environment, **(environment or {})}
        )
        self.agent.wait_until(
            lambda: '"started"' in self._log_after(seen), within_s=_AGENT_READY_WITHIN_S
        )

    def restart_agent(self, environment: Mapping[str, str] | None = None, **changes: Any) -> None:
        """End the agent, if it lives, and start one; after the trial there is the usual one."""
        self.agent.stop()
        self.start_agent(environment, **changes)

    def revive_agent(self) -> None:
        """Start the agent again if it has ended, as systemd would."""
        if not self.agent.running:
            self.restart_agent()

    def restore_agent(self) -> None:
        """Have the usual agent alive."""
        if not (self._as_usual and self.agent.running):
            self.restart_agent()

    def family(self) -> Family:
        """Return the agent's processes; MomentMissedError while it has no freezer."""
        return Family.of(self.agent.pid)

    def processes(self) -> list[int]:
        """Return every agent, freezer and guard of this world: all name its agent.toml."""
        name = str(self.agent_config).encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if name in (folder / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:  # it ended while we looked
                continue
        return sorted(found)

    # --- a run and its moments

    def begin(self, **how: Any) -> str:
        """Start a run; return its name (its attempt's id is that and `.1`).

        `how`: as `FaultyCloud.begin` has it.
        """
        run = self.cloud.begin(**how)
        self.trial.runs.append(run)
        return run

    def hold_frozen(self, for_s: float) -> None:
        """Let CreateSnapshot answer so much after its copy is made, in this trial."""
        self.cloud.control_ec2(latency_ms=for_s * 1000)

    def await_freezer(self) -> Family:
        """Wait until the run has a freezer with a guard; return the agent's family."""

        def there() -> bool:
            return any(children(freezer) for freezer in children(self.agent.pid))

        self._await(there, "no freezer was started")
        return self.family()

    def await_prepared(self) -> Family:
        """Wait until the agent has prepared the run; return its family."""
        run = self.trial.runs[-1]
        seen = max(0, self._logged() - _RECENT_LOG_BYTES)

        def prepared() -> bool:
            lines = self._log_after(seen).splitlines()
            return any('"Prepared"' in line and run in line for line in lines)

        self._await(prepared, "the run was not prepared")
        return self.family()

    def await_frozen(self) -> Family:
        """Wait until the filesystem is frozen; return the agent's family.

        By the freezer's marker: the mount's FIFREEZE was begun, and RCU, which is expedited for
        that alone, is as it was.
        """

        def frozen() -> bool:
            head, *rest = self.marker.read_text().splitlines() or [""]
            return head == "rcu 0" and any(line.startswith("mount 1") for line in rest)

        self._await(frozen, "nothing was frozen")
        return self.family()

    def stop_before_lock(self) -> Family:
        """Begin a run; return with it prepared, the freezer stopped, and the agent waiting for it.

        Nothing is held: the agent asks for a `sync` before it locks.
        """
        return self._stop_at("sync")

    def stop_between_lock_and_freeze(self) -> Family:
        """Begin a run; return with the database locked, nothing frozen, the freezer stopped."""
        return self._stop_at("freeze")

    def stop_while_thawing(self) -> Family:
        """Begin a run; return with all held, the agent waiting for the thaw, the freezer stopped.

        The snapshot was made in time: whatever follows, its copy is good, and only the proof can
        be missing. The agent waits for a second, then gives the lock back anyway.
        """
        self.begin()
        family = self.await_frozen()
        with Line(family) as line:
            line.stop_at("thaw")
        return family

    def inject_now(self) -> None:
        """Note that the fault happens now: call it right before doing it."""
        self.trial.injected_ns = time.monotonic_ns()

    def _stop_at(self, request: str) -> Family:
        self.begin()
        family = self.await_prepared()
        try:
            with Line(family) as line:
                line.stop_at(request)
        except BaseException:
            go_on(family)
            raise
        return family

    def _await(self, reached: Callable[[], bool], otherwise: str) -> None:
        give_up_at = time.monotonic() + _MOMENT_WITHIN_S
        while not reached():
            if time.monotonic() > give_up_at:
                raise MomentMissedError(otherwise)
            time.sleep(_POLL_S)

    # --- the agent's configuration and log

    def _config(self) -> AgentConfig:
        return AgentConfig(
            TARGET,
            self.cloud.commands_url,
            self.cloud.replies_url,
            lock_wait_timeout_s=1,
            budget_s=BUDGET_S,
        )

    def _logged(self) -> int:
        return self.agent_log.stat().st_size if self.agent_log.exists() else 0

    def _log_after(self, size: int) -> str:
        with self.agent_log.open("rb") as log:
            log.seek(size)
            return log.read().decode(errors="replace")


_CHURN_PAUSE_S = 0.15
"""Without it the server keeps a core to itself. What a copy must show is shown elsewhere
(tests/host/test_lab_host_copies.py); here all must keep writing.
"""


@contextmanager
def inhabited(
    host: DatabaseHost, cloud: FaultyCloud, folders: Sequence[Path], *, probe_every_ms: int
) -> Iterator[World]:
    """Return a world with load, probes and agent on a host that is up; the agent ends with it."""
    host.start_load(churn_pause_s=_CHURN_PAUSE_S)
    host.start_probes(every_ms=probe_every_ms)
    world = World(host, cloud, folders)
    world.start_agent()
    try:
        yield world
    finally:
        world.agent.stop()
