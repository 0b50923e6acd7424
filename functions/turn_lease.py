"""The lease under which a distribution has one turn at a time."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from functions.domain.errors import HoldstillError
from functions.ports import Clock, Leases

LEASE_S: Final = 60
"""For how long a distribution waits for a turn that has died. Far above what lies between two
renewals: a listing of a bucket and a call. Who loses it all the same can write nothing more."""


class LeaseLostError(HoldstillError):
    """Another turn has the distribution, and goes on with all that this one has stored."""


@dataclass(frozen=True, slots=True)
class TurnLease:
    """The lease of `distribution`; `owner` is one turn's and never another's."""

    leases: Leases
    clock: Clock
    distribution: str
    owner: str

    def take(self) -> bool:
        """Take it; return False while another turn has it. Raise TableError."""
        now = self.clock.wall()
        expires_at = now + timedelta(seconds=LEASE_S)
        return self.leases.take(self.distribution, self.owner, now, expires_at)

    def renew(self) -> None:
        """Keep it. Raise LeaseLostError or TableError."""
        expires_at = self.clock.wall() + timedelta(seconds=LEASE_S)
        if not self.leases.renew(self.distribution, self.owner, expires_at):
            raise LeaseLostError(f"{self.distribution}: not {self.owner}'s any more")

    def release(self) -> None:
        """Give it back; nothing happens where it is another's. Raise TableError."""
        self.leases.release(self.distribution, self.owner)
