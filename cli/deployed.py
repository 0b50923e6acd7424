"""What a command works with: a deployed Holdstill, by the functions' ports."""

from collections.abc import Callable
from dataclasses import dataclass

from cli.errors import MisuseError
from cli.spelling import nearest
from functions.domain.site import Site
from functions.domain.sites import Sites
from functions.ports import Clock
from functions.upload_ports import Account, Batches, Objects, Uploads, Wakes


@dataclass(frozen=True, slots=True)
class Deployed:
    """Its sites, its table, and the world beside it.

    `clock`: its wall clock is AWS's, not the user's. `caller`: who asks, as AWS knows him.
    """

    sites: Sites
    clock: Clock
    uploads: Uploads
    batches: Batches
    account: Account
    objects: Objects
    wakes: Wakes
    caller: Callable[[], str]

    def site(self, name: str) -> Site:
        """Return the site of that name. Raise MisuseError, which names those that there are."""
        if found := self.sites.by_name.get(name):
            return found
        known = sorted(self.sites.by_name)
        raise MisuseError(f'no site "{name}"{nearest(name, known)} Sites: {", ".join(known)}')


Connect = Callable[[str | None, str | None], Deployed]
"""Of a profile and a Region; without them the AWS environment decides."""
