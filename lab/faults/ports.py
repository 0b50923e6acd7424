"""The cloud's side of a trial, as the world needs it; `lab.faults.cloud` has the real one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lab.host import Moment
from lab.region import AttachedVolume


@dataclass(frozen=True, slots=True)
class MadeSnapshot:
    """A snapshot that EC2 has for a run. `verdict` and `position` are its tags."""

    id: str
    volume_id: str
    verdict: str
    position: str | None
    copied: Moment


class Cloud(Protocol):
    """Queues, table, EC2 with real disks, and a conductor: `functions.backup` in a child.

    The conductor's child is warm, as a Lambda between two invocations: one process for many runs,
    started again when a fault has killed it. Its patience is short (freeze and thaw 2 s each), so
    that a trial ends in seconds.
    """

    @property
    def environment(self) -> Mapping[str, str]:
        """What the agent's process needs to reach this Region."""

    @property
    def commands_url(self) -> str:
        """The target's command queue, as agent.toml names it."""

    @property
    def replies_url(self) -> str:
        """The target's reply queue, as agent.toml names it."""

    @property
    def volumes(self) -> Sequence[AttachedVolume]:
        """The volumes attached to the target's instance, to be formatted by the host."""

    def begin(self) -> str:
        """Invoke the conductor for a new run; return the run's name at once."""

    @property
    def conductor_pid(self) -> int:
        """The process that conducts."""

    def record(self, run: str) -> Mapping[str, Any] | None:
        """Return the run's record as it is now, None before it began."""

    def wait_ended(self, run: str, within_s: float) -> Mapping[str, Any] | None:
        """Return the record once it is no longer open, or its conductor is dead.

        Raise LabError when neither is so in time. None: the conductor died before it wrote any.
        """

    def snapshots(self, run: str) -> Sequence[MadeSnapshot]:
        """Return what EC2 has for any attempt of the run, by its tag."""

    def copies(self, snapshots: Sequence[MadeSnapshot]) -> AbstractContextManager[Sequence[Path]]:
        """Lend the images of snapshots, which a check may write to, in the order given."""

    def control_ec2(self, **changes: Any) -> None:
        """Change the EC2 endpoint's settings (`lab.ec2.controls.Controls`)."""

    def reset(self) -> None:
        """Make all as before the first trial.

        Empty queues, no snapshot, no lease, transparent proxies, true clocks, EC2's settings put
        back (its limits off), a live conductor.
        """
