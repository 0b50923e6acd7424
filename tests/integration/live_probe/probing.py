"""The live probe, aimed at the lab."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import EndpointConnectionError

from lab.live_probe.__main__ import main

if TYPE_CHECKING:
    from lab.region import Region

ROOT = Path(__file__).parents[3]
ID = "E1PROBE"
BUCKET = "example-probe"
PACE = ["--repeat", "1", "--pace-s", "0.25", "--rest-s", "1.5"]
"""For an account that has five calls a second, and a burst of six."""


def deploy(region: Region, **settings: Any) -> str:
    """Deploy the distribution; return its viewers' URL."""
    return region.edge.deploy(
        **{
            "id": ID,
            "origin_url": region.url,
            "bucket": BUCKET,
            "origin_path": "/site",
            "default_root_object": "index.html",
            "query_strings": True,
            **settings,
        }
    )


def probe(url: str, report: Path, *more: str) -> int:
    """Run it as from a command line; return what it ends with."""
    where = ["--distribution", ID, "--bucket", BUCKET, "--edge-url", url, "--report", str(report)]
    return main([*where, *more])


def keys(region: Region) -> list[str]:
    """Return the keys of the bucket."""
    listed = region.client("s3").list_objects_v2(Bucket=BUCKET)
    return [one["Key"] for one in listed["Contents"]]


class Unreachable:
    """A client without a network."""

    def __getattr__(self, name: str) -> Any:
        raise EndpointConnectionError(endpoint_url=f"https://{name}")
