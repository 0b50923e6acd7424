"""The HTTP servers: one for CloudFront's API and the lab's settings, one for each distribution.

`GET /_lab/state` returns the settings, what was counted, and each distribution with its URL;
`POST /_lab/controls {…}` changes settings (`lab.edge.controls`);
`POST /_lab/distributions {…}` deploys one (`lab.edge.distribution`) and returns its URL;
`POST /_lab/reset` forgets everything but the distributions.
"""

import contextlib
import json
import logging
import threading
from collections.abc import Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lab.edge import api
from lab.edge.cloudfront import CloudFront
from lab.edge.distribution import Distribution
from lab.edge.refusals import RefusedError
from lab.edge.viewers import Viewers

_log = logging.getLogger("lab.edge")
_HANG_S = 120.0
_HOST = "127.0.0.1"


class Deployments:
    """CloudFront, and the ports on which its distributions are visited."""

    def __init__(self) -> None:
        self.cloudfront = CloudFront()
        self._visited: dict[str, VisitedServer] = {}
        self._lock = threading.Lock()

    def deploy(self, settings: dict[str, Any]) -> str:
        """Put a distribution into service and return its URL; a known one keeps its port.

        Raise ValueError for settings that no distribution can have.
        """
        distribution = Distribution.from_settings(settings)
        with self._lock:
            viewers = self.cloudfront.deploy(distribution)
            if server := self._visited.get(distribution.id):
                server.viewers = viewers
            else:
                server = self._visited[distribution.id] = VisitedServer(viewers)
                threading.Thread(target=server.serve_forever, daemon=True).start()
            return server.url

    def state(self) -> dict[str, Any]:
        """Return CloudFront's state, with the distributions' URLs."""
        with self._lock:
            state = self.cloudfront.state()
            for name, one in state["distributions"].items():
                one["url"] = self._visited[name].url
            return state


class _Handler(BaseHTTPRequestHandler):
    """One connection, kept open between requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one packet

    @property
    def target(self) -> str:
        """The request's target as it was sent: `path` would make one slash of two."""
        return self.requestline.split()[1]

    def log_message(self, *_: object) -> None:
        """Say nothing: a line per request is a system call per request."""

    def send(self, status: int, body: bytes, headers: Iterable[tuple[str, str]]) -> None:
        """Send an answer; to a HEAD without its body."""
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()


class ApiHandler(_Handler):
    """CloudFront's API, and the lab's own."""

    server: "ApiServer"

    def do_GET(self) -> None:
        """Serve what reads."""
        if self.target == "/_lab/state":
            self._send_json(HTTPStatus.OK, self.server.deployments.state())
        else:
            self._answer(b"")

    def do_POST(self) -> None:
        """Serve what changes."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.target.startswith("/_lab/"):
            self._change(body)
        else:
            self._answer(body)

    def _change(self, body: bytes) -> None:
        deployments = self.server.deployments
        try:
            settings = json.loads(body or b"{}")
            match self.target:
                case "/_lab/controls":
                    deployments.cloudfront.change(settings)
                case "/_lab/distributions":
                    self._send_json(HTTPStatus.OK, {"url": deployments.deploy(settings)})
                    return
                case "/_lab/reset":
                    deployments.cloudfront.reset()
                case unknown:
                    raise ValueError(f"the lab has no {unknown}")  # noqa: TRY301  said below
        except (ValueError, TypeError) as wrong:
            self.send(HTTPStatus.BAD_REQUEST, str(wrong).encode(), [("Content-Type", "text/plain")])
        else:
            self._send_json(HTTPStatus.OK, deployments.state())

    def _answer(self, body: bytes) -> None:
        try:
            answer = self.server.deployments.cloudfront.answer(self.command, self.target, body)
        except Exception:  # noqa: BLE001  a bug of ours must be an answer, not a silence
            _log.exception("request_failed body=%s", body)
            answer = api.refusal(
                RefusedError(
                    "InternalError", "see the lab's edge.log", HTTPStatus.INTERNAL_SERVER_ERROR
                )
            )
        if answer is None:
            self._hang()
        else:
            self.send(answer.status, answer.body, [("Content-Type", "text/xml"), *answer.headers])

    def _hang(self) -> None:
        self.connection.settimeout(_HANG_S)
        with contextlib.suppress(OSError):
            self.connection.recv(1)  # returns when the caller gives up and closes
        self.close_connection = True

    def _send_json(self, status: int, value: object) -> None:
        self.send(status, json.dumps(value).encode(), [("Content-Type", "application/json")])


class VisitorHandler(_Handler):
    """What a browser talks to."""

    server: "VisitedServer"

    def do_GET(self) -> None:
        """Serve an object, from the cache or through it."""
        response = self.server.viewers.get(self.target)
        self.send(response.status, response.body, response.headers)

    def do_HEAD(self) -> None:
        """Serve what a GET would, without the body."""
        self.do_GET()

    def do_POST(self) -> None:
        """Refuse."""
        self._refuse()

    def do_PUT(self) -> None:
        """Refuse."""
        self._refuse()

    def do_DELETE(self) -> None:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> None:
        """Say that the distribution allows GET and HEAD alone, as CloudFront's default does."""
        self.close_connection = True  # whatever body there is stays unread
        text = b"This distribution is not configured to allow the HTTP request method.\n"
        self.send(HTTPStatus.FORBIDDEN, text, [("X-Cache", "Error from cloudfront")])


class _Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = 64

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{_HOST}:{self.server_port}"


class ApiServer(_Server):
    """The API on a port; 0 takes a free one."""

    def __init__(self, port: int) -> None:
        self.deployments = Deployments()
        super().__init__((_HOST, port), ApiHandler)


class VisitedServer(_Server):
    """A distribution on a free port."""

    def __init__(self, viewers: Viewers) -> None:
        self.viewers = viewers
        super().__init__((_HOST, 0), VisitorHandler)
