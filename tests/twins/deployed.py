"""A deployed Holdstill in memory, as the command line works with it."""

from collections.abc import Iterator, Mapping, Sequence

from cli.deployed import Deployed
from functions.domain.errors import BucketError
from functions.domain.path_rules import PathRule
from functions.domain.site import Site
from functions.domain.sites import Sites
from tests.twins.clock import TwinClock
from tests.twins.uploads import TwinTable

CALLER = "arn:aws:iam::123456789012:user/designer"

STATIC = Site(
    "static",
    "example-static",
    ("E1EXAMPLE", "E2EXAMPLE"),
    index_documents=("index.html",),
    ignore=("assets/**", "**/*.map"),
    extra_paths=(PathRule("{page}.html", ("/{page}",)),),
)
SHOP = Site("shop", "example-shop", ("E3EXAMPLE",), origin_path="/site")


class TwinListing:
    """The keys of buckets, as S3 orders them; `fault`: why no bucket can be listed.

    `told`: how many keys it was asked for.
    """

    def __init__(self, buckets: Mapping[str, Sequence[str]]) -> None:
        self.buckets = buckets
        self.fault = ""
        self.told = 0

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """As in the port."""
        if self.fault:
            raise BucketError(self.fault)
        ordered = sorted(self.buckets.get(bucket, ()), key=str.encode)
        for key in ordered:
            if key.startswith(prefix):
                self.told += 1
                yield key


def deployed(table: TwinTable, clock: TwinClock, listing: TwinListing, *sites: Site) -> Deployed:
    """Return what a command is given; without names of sites, these two."""
    return Deployed(
        Sites.of(sites or (STATIC, SHOP)),
        clock,
        table.uploads,
        table.batches,
        table.account,
        listing,
        table.wakes,
        lambda: CALLER,
    )
