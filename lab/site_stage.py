"""A Region with a deployed site in it, and no database host: for what is about uploads alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.deploy import Cdk
from lab.region import Region
from lab.site import Site
from lab.temporary import Temporary


class SiteStage(Temporary):
    """Region, site and deployment, as a context manager that leaves nothing.

    `fill` puts objects into the bucket before anybody is told of them. `say` hears of each step.
    """

    region: Region
    site: Site

    def __init__(
        self,
        workdir: Path,
        *,
        say: Callable[[str], None] = lambda _: None,
        fill: Callable[[Site], None] = lambda _: None,
        **settings: Any,
    ) -> None:
        super().__init__()
        self._workdir, self._say, self._fill, self._settings = workdir, say, fill, settings

    def _build(self) -> None:
        self._say("starting the Region: emulator, CloudFront")
        self.region = self._undo.enter_context(Region(self._workdir, real_disks=False))
        self.site = Site(self.region, **self._settings)
        self._fill(self.site)
        self._say("deploying the template with `cdk deploy`")
        config = self._workdir / "holdstill.toml"
        config.write_text(self.site.configuration)
        cdk = Cdk(self.region, config=config)
        cdk.bootstrap()
        cdk.deploy()
