"""The lab's CloudFront as a child of the lab, on 127.0.0.1 and a free port.

edge = process.start(Path("build/lab"))
edge.wait()
url = edge.deploy(id="E1EXAMPLE", origin_url=region.url, bucket="example-static")
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import children, emulator
from lab.children import Child

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Edge:
    """A running CloudFront."""

    url: str
    """For AWS_ENDPOINT_URL_CLOUDFRONT."""
    child: Child

    def wait(self) -> None:
        """Wait until it answers. Raise ChildFailedError."""
        self.child.wait_for(lambda: emulator.answers(f"{self.url}/_lab/state"), timeout_s=20)

    def deploy(self, **settings: Any) -> str:
        """Deploy a distribution (`lab.edge.distribution`), or deploy it anew with an empty cache.

        Return the URL of its viewers, which stays the same for as long as the child runs.
        """
        url: str = emulator.request(f"{self.url}/_lab/distributions", settings)["url"]
        return url

    def control(self, **changes: Any) -> None:
        """Change the settings (`lab.edge.controls.Controls`), from now on."""
        emulator.request(f"{self.url}/_lab/controls", changes)

    def state(self) -> dict[str, Any]:
        """Return settings, counts and distributions (`lab.edge.cloudfront.CloudFront.state`)."""
        state: dict[str, Any] = emulator.request(f"{self.url}/_lab/state")
        return state

    def reset(self) -> None:
        """Forget all but the distributions: invalidations, cached objects, counts, settings."""
        emulator.request(f"{self.url}/_lab/reset", method="POST")


def start(workdir: Path) -> Edge:
    """Start it, and do not wait for it. Its log is `edge.log` in `workdir`."""
    port = emulator.free_port()
    child = children.start(
        "edge",
        [sys.executable, "-m", "lab.edge", "--port", str(port)],
        env=emulator.clean_environment(),
        log=workdir / "edge.log",
        cwd=_ROOT,
    )
    return Edge(f"http://127.0.0.1:{port}", child)
