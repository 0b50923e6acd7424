"""The host without root, on any Unix: directories as volumes, and a gate instead of a freeze."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from lab.host.agent import AgentConfig, AgentPaths
from lab.host.check import CopyReport, Expected, check_directories
from lab.host.child import Child, python_module
from lab.host.host import LabHost
from lab.host.load import LoadPlan
from lab.host.pair import PairPaths
from lab.host.places import Places
from lab.host.probe import Probe
from lab.interrupts import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lab.host.acknowledged import Moment

PAIRS = 2
BALLAST_BYTES = 4 << 20
READY_WITHIN_S = 10.0
DEFAULT_BUDGET_S = 10.0


class FallbackHost(LabHost):
    """A host whose volumes are the given directories, to be copied as its snapshot.

    There is no database: `lock` is `none`, and the best verdict is `filesystem-consistent`.
    """

    reality = "NOT REAL without root on Linux: no MariaDB, and a lock file instead of a freeze"

    def __init__(self, volumes: Sequence[Path], *, budget_s: float = DEFAULT_BUDGET_S) -> None:
        super().__init__(volumes)
        self._budget_s = budget_s

    def thaw(self) -> None:
        """Do nothing: the gate opens when the process that closed it ends."""

    def check(
        self, copies: Sequence[Path], moment: Moment | None = None, position: str | None = None
    ) -> CopyReport:
        """Check the copied directory's pairs; there is no binary log for a position."""
        del position
        return check_directories(copies, Expected(self.load.plan.journals, moment), PAIRS)

    def write_agent_config(self, config: AgentConfig, volumes: Sequence[Sequence[str]]) -> Path:
        """Write agent.toml: no lock, and the stand-in's socket and budget."""
        adapted = dataclasses.replace(config, lock="none", budget_s=self._budget_s)
        return super().write_agent_config(adapted, volumes)

    def _make_places(self, root: Path) -> Places:
        places = Places(root / "run", self._volumes)
        places.run_dir.mkdir()
        return places

    def _furnish(self) -> None:
        # Ballast beside the pairs: a copy then takes a while from one file of a pair to the
        # other. Without it, one that holds nobody is often lucky.
        for pair in (PairPaths.on(self.places.mounts, number) for number in range(PAIRS)):
            for directory in (pair.first.parent, pair.second.parent):
                directory.mkdir(exist_ok=True)
                (directory / f"{pair.journal}-ballast").write_bytes(bytes(BALLAST_BYTES))
        self._start(StandInFreezer(self._socket, self._gate, self._budget_s))

    @property
    def _gate(self) -> Path:
        return self.places.run_dir / "gate"

    @property
    def _socket(self) -> Path:
        return self.places.run_dir / "freezer.sock"

    def _load_plan(self) -> LoadPlan:
        journals = self.places.run_dir / "journals"
        return LoadPlan(self.places.mounts, journals, gate=self._gate, pairs=PAIRS)

    def _make_probes(self) -> dict[str, Probe]:
        target = self.places.mounts[0] / "probe"
        log = self.places.run_dir / "probe-file.log"
        return {"file": Probe("file", target, log, self._gate)}

    def _agent_paths(self, volumes: Sequence[Sequence[str]]) -> AgentPaths:
        return AgentPaths(
            run_dir=self.places.run_dir / "freezer",
            state_dir=self.places.state_dir,
            mounts=tuple(zip(self.places.mounts, volumes, strict=True)),
            freezer_socket=self._socket,
        )


class StandInFreezer:
    """The stand-in as a process of its own, listening on `socket`."""

    def __init__(self, socket: Path, gate: Path, budget_s: float) -> None:
        self._socket = socket
        self._arguments = (str(socket), str(gate), str(int(budget_s * 1000)))
        self._child: Child | None = None

    def start(self) -> None:
        """Start it; it listens when this returns. Raises ChildError."""
        log = self._socket.with_suffix(".log")
        with uninterrupted():
            self._child = python_module("lab.host.stand_in", *self._arguments, log=log)
        self._child.wait_until(self._socket.exists, within_s=READY_WITHIN_S)

    def stop(self) -> None:
        """End it; the gate opens."""
        if self._child:
            self._child.stop()
