"""The site of the demo and the tests: a bucket, what shows it, its designer and its visitors.

site = Site(region)
site.upload("logo.png", b"old")
site.visit("/logo.png").body
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlsplit

from lab.bucket_events import queue_policy
from lab.emulator import ACCOUNT, REGION
from lab.errors import LabError
from lab.region import Region

NAME = "static"
BUCKET = "example-static"
DISTRIBUTION = "E1EXAMPLE"
OTHERS = "example-audit"
"""The queue that is told what comes back from Glacier: somebody else's, and to be left alone."""

_AS_BROWSERS_SEND = "/~()!$&'*,;=:@"
"""What a browser leaves as it is in a path. A `+` too, but S3 reads that as a space: who links to
such a key writes `%2B`."""
_AT_ONCE = 8
_FILLERS = 4


@dataclass(frozen=True, slots=True)
class Visit:
    """What a visitor got."""

    status: int
    body: bytes
    hit: bool
    """Whether it came from the cache; an error's answer never says so."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change that the designer made: `at` by the system's clock, in s, before the request."""

    key: str
    at: float


class Site:
    """`[sites.static]` before and after it is deployed, in a Region that is running."""

    def __init__(
        self,
        region: Region,
        distributions: Iterable[str] = (DISTRIBUTION,),
        **settings: Any,
    ) -> None:
        """Make the bucket with its own notifications, and the distributions.

        `settings` as in `lab.edge.distribution`. Objects that are put before the deployment are
        told to nobody.
        """
        self.region = region
        self._s3 = region.client("s3", max_pool_connections=_AT_ONCE, retries={"mode": "standard"})
        self._s3.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        policy = {"Policy": queue_policy(self.others["QueueArn"], BUCKET)}
        region.client("sqs").create_queue(QueueName=OTHERS, Attributes=policy)
        self._s3.put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration={"QueueConfigurations": [self.others]}
        )
        about = {"origin_url": region.url, "bucket": BUCKET, "folder_index": "index.html"}
        self._urls = {
            name: region.edge.deploy(id=name, **{**about, **settings}) for name in distributions
        }

    @property
    def others(self) -> dict[str, Any]:
        """The notification that is on the bucket before us."""
        return {
            "Id": "audit",
            "QueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{OTHERS}",
            "Events": ["s3:ObjectRestore:*"],
            "Filter": {"Key": {"FilterRules": [{"Name": "Prefix", "Value": "audited/"}]}},
        }

    @property
    def notifications(self) -> list[Mapping[str, Any]]:
        """The notifications to queues that are on the bucket now."""
        found = self._s3.get_bucket_notification_configuration(Bucket=BUCKET)
        configurations: list[Mapping[str, Any]] = found.get("QueueConfigurations", [])
        return configurations

    @property
    def distributions(self) -> tuple[str, ...]:
        """Those that show the bucket."""
        return tuple(self._urls)

    @property
    def url(self) -> str:
        """Where visitors find it, at the first of them."""
        return self._urls[self.distributions[0]]

    @property
    def configuration(self) -> str:
        """What `holdstill.toml` says of it."""
        return (
            f"[sites.{NAME}]\n"
            f'bucket = "{BUCKET}"\n'
            f"distributions = {json.dumps(self.distributions)}\n"
            'index_documents = ["index.html"]\n'
        )

    def fill(self, files: Mapping[str, bytes]) -> None:
        """Put many objects in half the time of an SDK, unsigned: the emulator takes them so."""
        each = list(files.items())

        def put(some: list[tuple[str, bytes]]) -> None:
            connection = HTTPConnection(urlsplit(self.region.url).netloc, timeout=20)
            for key, body in some:
                connection.request("PUT", f"/{BUCKET}/{quote(key)}", body)
                answer = connection.getresponse()
                answer.read()
                if answer.status != HTTPStatus.OK:
                    raise LabError(f"the emulator did not take {key}: {answer.status}")
            connection.close()

        with ThreadPoolExecutor(_FILLERS) as pool:
            list(pool.map(put, [each[i::_FILLERS] for i in range(_FILLERS)]))

    # --- the designer

    def upload(self, key: str, body: bytes) -> Change:
        """Put one object."""
        change = Change(key, time.time())
        self._s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return change

    def upload_all(self, files: Mapping[str, bytes]) -> list[Change]:
        """Put many objects, several at once, as a desktop tool does."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(self.upload, files, files.values()))

    def delete(self, key: str) -> Change:
        """Delete one object."""
        change = Change(key, time.time())
        self._s3.delete_object(Bucket=BUCKET, Key=key)
        return change

    # --- the visitors

    def visit(self, target: str, distribution: str = "") -> Visit:
        """Return what a visitor gets, by a target as it is in the request line."""
        return self.visit_all([target], distribution)[target]

    def visit_all(self, targets: Iterable[str], distribution: str = "") -> dict[str, Visit]:
        """Return what a visitor gets of each, over one connection."""
        url = self._urls[distribution or self.distributions[0]]
        connection = HTTPConnection(urlsplit(url).netloc, timeout=20)
        visits = {}
        try:
            for target in targets:
                connection.request("GET", target)
                answer = connection.getresponse()
                body, hit = answer.read(), (answer.getheader("X-Cache") or "").startswith("Hit")
                visits[target] = Visit(answer.status, body, hit)
        finally:
            connection.close()
        return visits

    def wait_until(
        self,
        wanted: Mapping[str, Callable[[Visit], bool]],
        within_s: float,
        distribution: str = "",
        every_s: float = 0.02,
    ) -> dict[str, float]:
        """Visit each target until it is as wanted; return when it was, by the system's clock in s.

        Those that are not so in time are left out.
        """
        left, found = dict(wanted), dict[str, float]()
        give_up_at = time.monotonic() + within_s
        while left and time.monotonic() < give_up_at:
            for target, visit in self.visit_all(list(left), distribution).items():
                if left[target](visit):
                    found[target] = time.time()
                    del left[target]
            time.sleep(every_s)
        return found


def target_of(key: str) -> str:
    """Return how a browser asks for a key."""
    return quote(f"/{key}", safe=_AS_BROWSERS_SEND)


def shows(body: bytes) -> Callable[[Visit], bool]:
    """Return whether a visit got this body."""
    return lambda visit: visit.body == body
