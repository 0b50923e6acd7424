"""Trials: each fault on a world that is as it was before the first."""

from __future__ import annotations

from contextlib import ExitStack
from random import Random
from typing import TYPE_CHECKING

from lab.faults.aftermath import Aftermath, look
from lab.faults.errors import FaultError, MomentMissedError
from lab.faults.leftovers import Held
from lab.faults.recovery import recover
from lab.faults.world import Trial, World

if TYPE_CHECKING:
    from lab.faults.fault import Fault

_TRIES = 3


class Suite:
    """Makes trials on one world. `seed` and a trial's number decide its random moments."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.seed = seed
        self._before = Held.of(world)

    def trial(self, fault: Fault, number: int = 1) -> Aftermath:
        """Make one trial. Raise FaultError where its moment cannot be caught."""
        missed = ""
        for attempt in range(_TRIES):
            world = self.world
            world.cloud.reset()
            seed = f"{self.seed} {fault.name} {number} {attempt}"
            world.trial = Trial(Random(seed))  # noqa: S311 - moments, not secrets
            with ExitStack() as afterwards:
                afterwards.callback(recover, world)
                afterwards.callback(world.trial.undo.close)
                afterwards.callback(world.trial.later.close)
                try:
                    fault.inject(world)
                except MomentMissedError as error:
                    missed = str(error)
                    continue
                return look(world, fault, self._before)
        raise FaultError(f"{fault.name}: its moment was missed {_TRIES} times: {missed}")
