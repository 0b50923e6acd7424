"""The real host: MariaDB or MySQL on XFS on given block devices. Needs root on Linux."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.host import load, probe
from lab.host.agent import AgentPaths
from lab.host.check import CopyReport, Expected, check_copy
from lab.host.disk import make_filesystem, mount, thaw, unmount
from lab.host.host import LabHost
from lab.host.mariadb import MariaDb
from lab.host.places import Places

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lab.host.acknowledged import Moment
    from lab.host.server import DatabaseServer


class DatabaseHost(LabHost):
    """A host whose volumes are the given block devices, which it formats.

    The first holds the tables, the last the binary log; they may be one.
    """

    reality = "a real MariaDB on a real XFS filesystem, really frozen"

    def __init__(self, volumes: Sequence[Path], server: type[DatabaseServer] = MariaDb) -> None:
        """Take the block devices, in order, and the kind of server that runs on them."""
        super().__init__(volumes)
        self._kind = server

    def thaw(self) -> None:
        """Thaw the filesystems, whoever froze them."""
        for point in reversed(self.places.mounts):
            thaw(point)

    def check(
        self,
        copies: Sequence[Path],
        moment: Moment | None = None,
        position: str | None = None,
        gtid: str | None = None,
    ) -> CopyReport:
        """Mount the copies (devices or images), start the server on them and check everything."""
        expected = Expected(self.load.plan.journals, moment, position, gtid)
        return check_copy(copies, expected, self._kind)

    def _make_places(self, root: Path) -> Places:
        places = Places.make(root, len(self._volumes))
        self.server = self._kind(places.datadir, places.binlogs, places.run_dir)
        return places

    def _furnish(self) -> None:
        for device, point in zip(self._volumes, self.places.mounts, strict=True):
            self._undo.callback(unmount, point)
            make_filesystem(device)
            mount(device, point)
        self.server.install()
        self._start(self.server)
        with self.server.connect() as connection:
            load.create_tables(connection, self._kind.engines)
            probe.create_table(connection)
        self.server.create_agent_account(self._option_file)

    @property
    def _option_file(self) -> Path:
        return self.places.run_dir / "agent-mysql.cnf"

    def _load_plan(self) -> load.LoadPlan:
        run_dir = self.places.run_dir
        return load.LoadPlan(
            self.places.mounts,
            run_dir / "journals",
            socket=self.server.socket,
            engines=self.server.engines,
        )

    def _make_probes(self) -> dict[str, probe.Probe]:
        run_dir = self.places.run_dir
        return {
            "sql": probe.Probe("sql", self.server.socket, run_dir / "probe-sql.log"),
            "file": probe.Probe(
                "file", self.places.mounts[0] / "probe", run_dir / "probe-file.log"
            ),
        }

    def _agent_paths(self, volumes: Sequence[Sequence[str]]) -> AgentPaths:
        return AgentPaths(
            run_dir=self.places.run_dir / "freezer",
            state_dir=self.places.state_dir,
            mounts=tuple(zip(self.places.mounts, volumes, strict=True)),
            option_file=self._option_file,
        )
