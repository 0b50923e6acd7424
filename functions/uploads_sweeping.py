"""Each minute's look at every distribution, for what no wake told of: a wake may be lost."""

from dataclasses import dataclass

from functions.domain.errors import AwsError
from functions.domain.sites import Sites
from functions.invalidating import measure_oldest
from functions.upload_ports import UploadWorld


@dataclass(frozen=True, slots=True)
class UploadsSweep:
    """One sweep. It takes no lease and clears nothing."""

    world: UploadWorld
    sites: Sites

    def sweep(self) -> None:
        """Wake each distribution that has something left to do, and measure its oldest upload.

        Raise the first AwsError once all were tried. Else say so: an alarm counts the lines.
        """
        errors: list[AwsError] = []
        for distribution in self.sites.distributions:
            try:
                self._look(distribution)
            except AwsError as error:
                detail = str(error)
                self.world.log.fault("not-swept", distribution=distribution, detail=detail)
                errors.append(error)
        if errors:
            raise errors[0]
        self.world.log.event("uploads-swept", distributions=len(self.sites.distributions))

    def _look(self, distribution: str) -> None:
        waits = measure_oldest(self.world, distribution) is not None
        if waits or self.world.batches.open(distribution):
            self.world.wakes.wake(distribution, 0, self.world.clock.wall())
