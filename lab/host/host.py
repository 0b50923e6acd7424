"""What every host of the lab has: a load, probes, the agent, and a teardown that always works."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from lab.host.agent import AgentConfig, AgentPaths, agent_toml, start_agent
from lab.host.load import Load, LoadPlan
from lab.host.places import Places, scratch
from lab.host.probe import EVERY_MS, Probe
from lab.interrupts import uninterrupted
from lab.temporary import Temporary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lab.host.acknowledged import Moment
    from lab.host.check import CopyReport
    from lab.host.child import Child


class Service(Protocol):
    """What runs between `start` and `stop`; `stop` is harmless before and after."""

    def start(self) -> None:
        """Start it and wait until it works."""

    def stop(self) -> None:
        """End it and wait until it is gone."""


class LabHost(Temporary):
    """A host, up between entry and exit, with nothing left behind."""

    reality: str
    """What is real about this host, for people."""

    def __init__(self, volumes: Sequence[Path]) -> None:
        """Take the devices (or directories) that are this host's volumes, in order."""
        super().__init__()
        self.probes: dict[str, Probe] = {}
        self._volumes = tuple(volumes)

    def _build(self) -> None:
        self.places = self._make_places(self._undo.enter_context(scratch("host")))
        self.load = Load(self._load_plan(), self.places.run_dir / "load.log")
        self._furnish()

    def start_load(self, *, churn_pause_s: float = 0.0) -> Load:
        """Start the write load; it is writing when this returns.

        Without pauses in its churn it keeps a core busy, and a copy is always inside an update.
        """
        self.load.plan = replace(self.load.plan, churn_pause_s=churn_pause_s)
        self._start(self.load)
        return self.load

    def start_probes(self, *, every_ms: int = EVERY_MS) -> dict[str, Probe]:
        """Start the probes, by kind: they have written when this returns."""
        self.probes = self._make_probes()
        for probe in self.probes.values():
            probe.every_ms = every_ms
            self._start(probe)
        return self.probes

    def write_agent_config(self, config: AgentConfig, volumes: Sequence[Sequence[str]]) -> Path:
        """Write agent.toml with the volume ids behind each mount, and return its path."""
        paths = self._agent_paths(volumes)
        paths.state_dir.mkdir(mode=0o700, exist_ok=True)
        path = self.places.run_dir / "agent.toml"
        path.touch(mode=0o600)
        path.write_text(agent_toml(config, paths))
        return path

    def start_agent(self, python: Path, config: Path, env: Mapping[str, str]) -> Child:
        """Start the installed agent; stopped with the host unless stopped before."""
        with uninterrupted():
            child = start_agent(python, config, env, self.places.run_dir / "agent.log")
            self._undo.callback(child.stop)
        return child

    @abstractmethod
    def thaw(self) -> None:
        """Let all writers go on, whoever holds them."""

    @abstractmethod
    def check(
        self, copies: Sequence[Path], moment: Moment | None = None, position: str | None = None
    ) -> CopyReport:
        """Check a copy of the volumes, in their order, taken at that moment and position."""

    @abstractmethod
    def _make_places(self, root: Path) -> Places: ...

    @abstractmethod
    def _furnish(self) -> None: ...

    @abstractmethod
    def _load_plan(self) -> LoadPlan: ...

    @abstractmethod
    def _make_probes(self) -> dict[str, Probe]: ...

    @abstractmethod
    def _agent_paths(self, volumes: Sequence[Sequence[str]]) -> AgentPaths: ...

    def _start(self, service: Service) -> None:
        self._undo.callback(service.stop)
        self._undo.callback(self.thaw)  # before it: a writer of a frozen filesystem does not end
        service.start()
