"""Physical names, and which fleet a target belongs to.

All names follow from the target's own name, so that the stacks refer to one another by name and
never by an export, and so that adding a target can move no other.
"""

import hashlib
from typing import Final

PREFIX: Final = "holdstill"
FLEETS: Final = 32
"""How many stacks the targets are dealt to; changing it moves nearly every deployed target."""

CORE_STACK: Final = f"{PREFIX}-core"
TABLE: Final = PREFIX
TABLE_TTL: Final = "delete_after_s"
"""DynamoDB deletes a row some time after this, in epoch seconds; most rows have none."""
OPEN_RUNS_INDEX: Final = "open-runs"
ALARM_TOPIC: Final = f"{PREFIX}-alarms"
SWEEP: Final = f"{PREFIX}-sweep"
"""The sweep function, and the `service` of its logs and metrics."""
BACKUP_SERVICE: Final = f"{PREFIX}-backup"
"""The `service` of all backup functions' logs and metrics, whatever their fleet."""
UPLOADS_STACK: Final = f"{PREFIX}-uploads"
UPLOADS_QUEUE: Final = f"{PREFIX}-uploads"
UPLOADS_DEAD_LETTERS: Final = f"{PREFIX}-uploads-dead-letters"
WAKES_QUEUE: Final = f"{PREFIX}-wakes"
COLLECT_UPLOADS: Final = f"{PREFIX}-collect-uploads"
INVALIDATE: Final = f"{PREFIX}-invalidate"
"""The functions of the uploads, and each one's `service`."""
METRICS: Final = "Holdstill"
"""The CloudWatch namespace of the functions' own metrics."""


def fleet_of(target: str) -> int:
    """Return the number of the target's fleet, 0 to 31, from its name alone."""
    return int(hashlib.sha256(target.encode()).hexdigest(), 16) % FLEETS


def fleet_stack(fleet: int) -> str:
    """Return the name of a fleet's stack."""
    return f"{PREFIX}-fleet-{fleet:02d}"


def fleet_prefix(fleet: int) -> str:
    """Return what the names of everything in one fleet begin with."""
    return f"{PREFIX}-{fleet:02d}"


def backup_function(fleet: int) -> str:
    """Return the name of a fleet's backup function."""
    return f"{fleet_prefix(fleet)}-backup"


def log_group(function: str) -> str:
    """Return the name of a function's log group."""
    return f"/aws/lambda/{function}"


def dead_letters(fleet: int) -> str:
    """Return the name of a fleet's dead-letter queue."""
    return f"{fleet_prefix(fleet)}-dead-letters"


def commands_queue(target: str) -> str:
    """Return the name of the queue that the target's agent reads."""
    return f"{fleet_prefix(fleet_of(target))}-{target}-commands"


def replies_queue(target: str) -> str:
    """Return the name of the queue that the target's agent writes."""
    return f"{fleet_prefix(fleet_of(target))}-{target}-replies"


def schedule(target: str) -> str:
    """Return the name of the target's schedule, at most 61 of Scheduler's 64 characters.

    The fleet's number keeps it apart from the core's own: a target may be called `sweep`.
    """
    return f"{fleet_prefix(fleet_of(target))}-{target}"


def pascal(name: str) -> str:
    """Return the name as CloudFormation's logical ids allow it: `recipes-db` is `RecipesDb`.

    Two names can become one (`db-1` and `db1`): the configuration refuses such a pair.
    """
    return "".join(part.capitalize() for part in name.split("-"))


def agent_output(target: str) -> str:
    """Return the key of the stack output that tells the target's agent what it needs."""
    return f"Agent{pascal(target)}"


def site_output(site: str) -> str:
    """Return the key of the stack output that tells the command line of a site."""
    return f"Site{pascal(site)}"
