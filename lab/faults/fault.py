"""What a fault is: what it does to a world, and what the run may truthfully say afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from functions.domain.verdict import Verdict

if TYPE_CHECKING:
    from lab.faults.world import World

Inject = Callable[["World"], None]
"""Starts what it needs (`world.begin`, `world.await_frozen`, …), calls `world.inject_now` at the
moment of the fault, does it, and returns; it waits for nothing that follows.

What it takes (sessions, stopped processes, proxies' settings) it gives back through
`world.trial.later.callback(...)`, which runs once writers go on and before the run's end is
waited for (a stopped agent goes on then), or through `world.trial.undo.callback(...)`, which runs
after everything was looked at.
"""

CONSISTENT = frozenset({Verdict.CONSISTENT})
CRASH_CONSISTENT = frozenset({Verdict.CRASH_CONSISTENT})
NO_SNAPSHOT: frozenset[Verdict | None] = frozenset({None})
NOT_CONSISTENT: frozenset[Verdict | None] = frozenset(
    {None, Verdict.CRASH_CONSISTENT, Verdict.UNPROVEN}
)
ANY: frozenset[Verdict | None] = NOT_CONSISTENT | CONSISTENT


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the catalogue.

    `name` is its row in the table and its test's id: `agent-killed-while-frozen`. `group` is the
    catalogue's module. `law` is the promise it shows, one sentence for docs/safety.md.

    `verdicts` are those that the run's record may have (None: no snapshot was made); a record
    that says `consistent` is believed only after its snapshot was restored and checked.
    `reasons` are all that the record may give: each of its reasons must be one of them, and a run
    that failed must give one. A refusal reads `host-refused-<RefusalCode>`.

    `killing`: tried 10 times by `make test`, 100 by `make faults`; such a fault draws its moment
    from `world.trial.random`. `dead_conductor`: the fault ends the conductor's process, so its
    record stays open and its snapshots `unproven`.

    `stall_s`: the longest that any writer may wait in all, where that is not the freeze budget
    plus one second.

    `goal_ms`: the longest from the injection to the first write that `make faults` allows, where
    the promise is sharper than that.

    `servers`: the names of the lab's servers on which it is tried (`DatabaseServer.name`).

    `afterwards`: what else must be true of this fault, called after everything else was looked
    at; yields what is not, as sentences.
    """

    name: str
    group: str
    law: str
    inject: Inject
    verdicts: frozenset[Verdict | None]
    reasons: frozenset[str] = frozenset()
    killing: bool = False
    dead_conductor: bool = False
    stall_s: float | None = None
    goal_ms: float | None = None
    servers: tuple[str, ...] = ("mariadb",)
    afterwards: Callable[[World], Iterable[str]] | None = None
