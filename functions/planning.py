"""What is checked and warmed before anything is held: all that is slow, and all patience."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from functions.domain import tags
from functions.domain.errors import PlanRefusedError, TableError
from functions.domain.requests import BackupRequest
from functions.domain.verdict import best
from functions.domain.volumes import AttachedVolume, cover, wait_before
from functions.ports import Window, World
from holdstill_protocol.messages import Prepared

PATIENCE_S: Final = 30
"""How long a plan may wait for EC2's limits: a prepared host waits 60 s for its freeze."""

BUDGET_MARGIN_S: Final = 1.0
"""The call must have timed out this long before the host thaws by itself."""

LEASE_S: Final = 180
"""A lease outlives every step between two renewals; a dead run's keeps others away as long."""

_MIN_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans the attempts of one run. `timeout_s`: the longest the snapshot call may take."""

    world: World
    request: BackupRequest
    timeout_s: float

    def plan(self, run_id: str, prepared: Prepared) -> Window:
        """Return the window of an attempt; raise PlanRefusedError or an AwsError."""
        if best(prepared) is None:
            raise PlanRefusedError(
                "the host holds neither lock nor freeze: set one in its agent.toml"
            )
        ec2 = self.world.ec2
        timeout_s = self._timeout_s(prepared)
        attached = ec2.attached(self.request.instance)
        coverage = cover(self.request.instance, prepared.volumes, attached)
        self._wait_for_limits([it for it in attached if it.volume_id in coverage.volumes])
        self.renew_lease()
        return ec2.open_window(coverage, tags.at_creation(self.request, run_id), timeout_s)

    def take_lease(self) -> bool:
        """Return whether the target is this run's now; another's lease must have expired."""
        now = self.world.clock.wall()
        return self.world.leases.take(self.request.target, self.request.name, now, self._expiry())

    def renew_lease(self) -> None:
        """Prove that no other run has the target, and keep it so; else raise PlanRefusedError."""
        if not self.world.leases.renew(self.request.target, self.request.name, self._expiry()):
            raise PlanRefusedError("another run has taken the target's lease")

    def release_lease(self) -> None:
        """Let other runs have the target. Where that fails, the lease expires by itself."""
        try:
            self.world.leases.release(self.request.target, self.request.name)
        except TableError as error:
            self.world.log.fault("lease-not-released", run=self.request.name, detail=str(error))

    def _expiry(self) -> datetime:
        return self.world.clock.wall() + timedelta(seconds=LEASE_S + self.request.patience_s)

    def _timeout_s(self, prepared: Prepared) -> float:
        timeout_s = min(self.timeout_s, prepared.budget_ms / 1000 - BUDGET_MARGIN_S)
        if timeout_s < _MIN_TIMEOUT_S:
            raise PlanRefusedError(
                f"the host's freeze budget is {prepared.budget_ms / 1000:g} s; a snapshot call"
                f" needs {_MIN_TIMEOUT_S + BUDGET_MARGIN_S:g} s: raise budget_s in its agent.toml"
            )
        return timeout_s

    def _wait_for_limits(self, volumes: list[AttachedVolume]) -> None:
        clock, names = self.world.clock, [volume.volume_id for volume in volumes]
        until_ns = clock.now_ns() + PATIENCE_S * 1_000_000_000
        while wait := wait_before(volumes, self.world.ec2.past_snapshots(names), clock.wall()):
            if clock.now_ns() + wait.seconds * 1e9 > until_ns:
                raise PlanRefusedError(wait.why)
            clock.sleep(wait.seconds)
