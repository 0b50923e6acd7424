"""A bucket with a distribution in front, for the tests of the lab's edge."""

import threading
import time
import uuid
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote_plus, urlsplit

import boto3

from lab.edge.process import Edge

ID = "E1EXAMPLE"
WITHIN_S = 5


class Bucket(BaseHTTPRequestHandler):
    """An S3 endpoint with one bucket; S3 decodes the path, and reads a bare `+` as a space."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    objects: dict[str, bytes]
    asked: list[str]
    held: threading.Event

    def do_GET(self) -> None:
        """Serve an object, once it is not held."""
        target = self.requestline.split()[1]
        self.asked.append(target)
        key = unquote_plus(target.partition("?")[0].removeprefix("/example/"))
        body = self.objects.get(key)
        self.held.wait(WITHIN_S)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Site:
    """A bucket behind a distribution."""

    def __init__(self, edge: Edge, origin_url: str) -> None:
        self.edge = edge
        self._origin_url = origin_url
        session: Any = boto3.Session("test", "test", region_name="us-east-1")
        self.cloudfront: Any = session.client("cloudfront", endpoint_url=edge.url)
        self._url = ""

    def deploy(self, **settings: Any) -> None:
        """Deploy the distribution anew."""
        self._url = self.edge.deploy(
            **{"id": ID, "origin_url": self._origin_url, "bucket": "example", **settings}
        )

    def visit(self, target: str, *, method: str = "GET") -> tuple[int, bytes, dict[str, str]]:
        """Return what a visitor gets, by a target as it is."""
        connection = HTTPConnection(urlsplit(self._url).netloc, timeout=WITHIN_S + 5)
        connection.request(method, target)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        body = answer.read()
        connection.close()
        return answer.status, body, headers

    def body(self, target: str) -> bytes:
        """Return the body that a visitor gets."""
        return self.visit(target)[1]

    def cache(self, target: str) -> str:
        """Return what the edge says about where its answer came from."""
        return self.visit(target)[2]["x-cache"]

    def invalidate(self, *paths: str, reference: str = "") -> None:
        """Invalidate paths, and wait until that took effect."""
        self.cloudfront.create_invalidation(
            DistributionId=ID,
            InvalidationBatch={
                "CallerReference": reference or str(uuid.uuid4()),
                "Paths": {"Quantity": len(paths), "Items": list(paths)},
            },
        )
        time.sleep(self.edge.state()["controls"]["effect_s"] + 0.05)
