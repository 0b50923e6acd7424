"""What `holdstill.toml` says, once it is known to be right."""

from collections.abc import Mapping
from dataclasses import dataclass

from functions.domain.site import Site
from infra.configuration.schedules import Schedule, stable_offset


@dataclass(frozen=True, slots=True)
class Keep:
    """How many snapshots to keep of each age: the newest of so many hours, days, weeks, months."""

    hourly: int
    daily: int
    weekly: int
    monthly: int


@dataclass(frozen=True, slots=True)
class Policy:
    """When to back up, how hard to try, what to keep and when to sound the alarm."""

    name: str
    schedule: Schedule
    timezone: str
    spread_minutes: int
    attempts: int
    patience_s: int
    max_age_hours: int | None
    keep: Keep


@dataclass(frozen=True, slots=True)
class Target:
    """A database host to protect: its instance, and the policy that it follows."""

    name: str
    instance: str
    policy: Policy
    host_role_arn: str | None

    @property
    def schedule(self) -> Schedule:
        """The policy's schedule at this target's own stable offset."""
        offset = stable_offset(self.name, self.policy.spread_minutes)
        return self.policy.schedule.moved(offset)


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that is to be protected, by name."""

    alarm_email: str | None
    policies: Mapping[str, Policy]
    targets: Mapping[str, Target]
    sites: Mapping[str, Site]
