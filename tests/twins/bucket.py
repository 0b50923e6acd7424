"""S3's notifications of buckets and CloudFormation's answers, over HTTP on 127.0.0.1."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from functions.domain import notifications

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.domain.notifications import Notification

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
ACCOUNT = "123456789012"


def document(*parts: str) -> str:
    """Return a document as S3 writes it."""
    text = "".join(parts)
    return f'<NotificationConfiguration xmlns="{NAMESPACE}">{text}</NotificationConfiguration>'


class TwinBuckets:
    """Keeps each bucket's document as it was put, elements of no known name as well.

    The owner of all buckets can differ between reads and writes, as if they changed hands.
    `location` is what GetBucketLocation says of them: nothing means us-east-1.
    `refusals` are the codes that the next writes are refused with; `stale` so many reads show what
    was there before the last write; `spoil` changes what is written, as nobody should.
    """

    def __init__(self) -> None:
        self.documents: dict[str, str] = {}
        self.writes: list[str] = []
        self.validated: list[bool] = []
        self.refusals: list[str] = []
        self.location = "ap-northeast-1"
        self.stale = 0
        self.owner_of_reads = self.owner_of_writes = ACCOUNT
        self.spoil: Callable[[str], str] = str
        self.hold = threading.Event()
        self.hold.set()
        self.answers: list[dict[str, Any]] = []
        self.answer_types: list[str | None] = []
        self.untyped = False
        self.deaf = 0
        """So many answers are turned away."""
        self._before: dict[str, str] = {}
        twin = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                twin._get(self)

            def do_PUT(self) -> None:
                twin._put(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def answer_url(self) -> str:
        """Where CloudFormation takes the answers; as a signed address has, with a query."""
        return f"{self.url}/answer?X-Amz-Signature=abc%3D"

    def ours(self, bucket: str) -> frozenset[Notification]:
        """Return our notifications of a bucket."""
        return notifications.ours(self.documents[bucket])

    def _get(self, call: BaseHTTPRequestHandler) -> None:
        self.hold.wait(10)
        bucket = self._bucket(call)
        if bucket not in self.documents:
            return self._refuse(call, 404, "NoSuchBucket")
        if call.headers["x-amz-expected-bucket-owner"] != self.owner_of_reads:
            return self._refuse(call, 403, "AccessDenied")
        if call.path.endswith("?location"):
            return self._say(call, 200, f"<LocationConstraint>{self.location}</LocationConstraint>")
        seen = self.documents[bucket]
        if self.stale and bucket in self._before:
            self.stale -= 1
            seen = self._before[bucket]
        return self._say(call, 200, seen)

    def _put(self, call: BaseHTTPRequestHandler) -> None:
        body = call.rfile.read(int(call.headers["Content-Length"])).decode()
        if call.path.startswith("/answer"):
            if self.deaf:
                self.deaf -= 1
                return self._refuse(call, 503, "SlowDown")
            self.answer_types.append(call.headers["Content-Type"])
            self.answers.append(json.loads(body))
            return self._say(call, 200, "")
        if self.refusals:
            return self._refuse(call, 400, self.refusals.pop(0))
        if call.headers["x-amz-expected-bucket-owner"] != self.owner_of_writes:
            return self._refuse(call, 403, "AccessDenied")
        bucket = self._bucket(call)
        self.writes.append(bucket)
        self.validated.append(call.headers["x-amz-skip-destination-validation"] != "true")
        self._before[bucket] = self.documents[bucket]
        # S3 answers with a capital what it was told without.
        self.documents[bucket] = self.spoil(body.replace("<Name>prefix<", "<Name>Prefix<"))
        return self._say(call, 200, "")

    @staticmethod
    def _bucket(call: BaseHTTPRequestHandler) -> str:
        return call.path.split("?")[0].strip("/")

    def _refuse(self, call: BaseHTTPRequestHandler, status: int, code: str) -> None:
        reason = "Unable to validate the following destination configurations"
        self._say(call, status, f"<Error><Code>{code}</Code><Message>{reason}</Message></Error>")

    def _say(self, call: BaseHTTPRequestHandler, status: int, text: str) -> None:
        body = text.encode()
        call.send_response(status)
        if body and not self.untyped:  # a write is answered with nothing, of no type
            call.send_header("Content-Type", "application/xml")
        call.send_header("Content-Length", str(len(body)))
        call.send_header("x-amz-request-id", "0123456789ABCDEF")
        call.end_headers()
        call.wfile.write(body)
