"""Lambda's Runtime API for one cold start: what a function asks, with the time of each step.

It follows https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html as far as one invocation
needs. The same port stands for AWS itself and refuses whatever it is asked: the first request that
a function makes tells that its clients exist, and nothing leaves this machine.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any, Final

_PREFIX: Final = "/2018-06-01/runtime/"
_REQUEST_ID: Final = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
_ARN: Final = "arn:aws:lambda:ap-northeast-1:000000000000:function:cold-start"
_TIMEOUT_MS: Final = 900_000
"""The backup function's own."""

_REFUSAL: Final = json.dumps(
    {"__type": "AccessDeniedException", "message": "there is no AWS here"}
).encode()
"""Of the errors that no SDK repeats."""


class Step(Enum):
    """What a function did."""

    ASKED = "asked for its first invocation: its module is imported"
    CALLED = "made a request to AWS"
    ANSWERED = "answered the invocation"
    FAILED = "answered the invocation with an error"
    UNFIT = "could not be imported"


@dataclass(frozen=True, slots=True)
class Mark:
    """A step, when it reached us (`time.monotonic_ns`), and what came with it.

    `detail` is the answer, the error, or the action that AWS was asked for.
    """

    step: Step
    at_ns: int
    detail: Any = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, event: Mapping[str, object]) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.event = json.dumps(event).encode()
        self.marks: SimpleQueue[Mark] = SimpleQueue()
        self.asked = False
        self.over = threading.Event()


class _Request(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # Else an answer leaves in two packets, and the second waits 40 ms for an acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle(self) -> None:
        """Serve until the function is gone: it is killed once it has answered."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        """Hand out the one invocation; whoever asks again waits until all is over."""
        self._mark(Step.ASKED)
        if self.server.asked:
            self.server.over.wait()
            self.close_connection = True
            return
        self.server.asked = True
        headers = {
            "Lambda-Runtime-Aws-Request-Id": _REQUEST_ID,
            "Lambda-Runtime-Deadline-Ms": str(time.time_ns() // 1_000_000 + _TIMEOUT_MS),
            "Lambda-Runtime-Invoked-Function-Arn": _ARN,
        }
        self._answer(HTTPStatus.OK, self.server.event, headers)

    def do_POST(self) -> None:
        """Take an answer or an error; refuse what is meant for AWS."""
        at_ns = time.monotonic_ns()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match self.path.removeprefix(_PREFIX).split("/"):
            case ["invocation", _, "response"]:
                self._mark(Step.ANSWERED, json.loads(body), at_ns)
            case ["invocation", _, "error"]:
                self._mark(Step.FAILED, json.loads(body), at_ns)
            case ["init", "error"]:
                self._mark(Step.UNFIT, json.loads(body), at_ns)
            case _:
                self._mark(Step.CALLED, self.headers.get("X-Amz-Target"), at_ns)
                self._answer(HTTPStatus.BAD_REQUEST, _REFUSAL)
                return
        self._answer(HTTPStatus.ACCEPTED, b"{}")

    def _mark(self, step: Step, detail: Any = None, at_ns: int | None = None) -> None:
        self.server.marks.put(Mark(step, at_ns or time.monotonic_ns(), detail))

    def _answer(
        self, status: HTTPStatus, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name in the base
        """Be silent: the marks tell it all."""


@contextmanager
def runtime_api(event: Mapping[str, object]) -> Iterator[tuple[str, SimpleQueue[Mark]]]:
    """Serve one invocation of `event`: yield the address, host:port, and the marks as they come."""
    server = _Server(event)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", server.marks
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
