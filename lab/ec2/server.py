"""The EC2 endpoint's HTTP server: `python -m lab.ec2.server --port N --folder DIR`.

`GET /_lab/state` returns the settings, where each attached volume is, when each copy was made;
`POST /_lab/controls {…}` changes settings (`lab.ec2.controls`).
"""

import argparse
import contextlib
import gc
import json
import logging
import os
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast
from urllib.parse import parse_qsl

# Before moto is imported: no 500 images, whose volumes nobody needs, and MiniStack's account.
os.environ |= {"MOTO_EC2_LOAD_DEFAULT_AMIS": "false", "MOTO_ACCOUNT_ID": "000000000000"}

from moto.core.request import Request
from moto.ec2 import models
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response

from lab.ec2 import backend, snapshots
from lab.ec2.backend import CopiedSnapshot, DiskBackend
from lab.ec2.controls import Controls, Fault
from lab.ec2.disks import Disks, FolderDisks, ImageDisks
from lab.ec2.snapshots import Answer

_log = logging.getLogger("lab.ec2")
_SCOPE = re.compile(r"Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/ec2/")
_ACCOUNT = "000000000000"
_HANG_S = 120.0


class Endpoint:
    """Answers EC2's requests, one at a time: moto is not made for threads."""

    def __init__(self, disks: Disks) -> None:
        self.controls = Controls()
        self._disks = disks
        self._lock = threading.Lock()
        backend.install(disks, lambda: self.controls)

    def answer(self, headers: dict[str, str], body: bytes) -> Answer | None:
        """Answer one request; None means never, because of a fault that hangs."""
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        action = form.get("Action", "")
        if action not in snapshots.ACTIONS:
            return self._moto(headers, body)
        began = time.perf_counter()
        region = _SCOPE.search(headers.get("Authorization", ""))
        try:
            with self._lock:
                fault = self._take_fault(dry_run=form.get("DryRun") == "true")
                ec2 = _backend(region["region"] if region else "us-east-1")
                answer = (
                    snapshots.create(ec2, action, form)
                    if fault is None or fault.makes_the_snapshot
                    else None
                )
        except EC2ClientError as refused:
            fault, answer = None, snapshots.error(refused.code, refused.message, _status(refused))
        _log.info(
            "answered action=%s fault=%s took_ms=%.2f latency_ms=%g",
            action,
            fault,
            (time.perf_counter() - began) * 1000,
            self.controls.latency_ms,
        )
        time.sleep(self.controls.latency_ms / 1000)
        match fault:
            case None:
                return answer
            case Fault.THROTTLE:
                return snapshots.error("RequestLimitExceeded", "Request limit exceeded.", 503)
            case Fault.ERROR | Fault.ERROR_AFTER:
                return snapshots.error("InternalError", "An internal error has occurred", 500)
            case Fault.HANG | Fault.HANG_AFTER:
                return None

    def change(self, changes: dict[str, object]) -> None:
        """Change settings. Raise ValueError for an unknown one."""
        with self._lock:
            self.controls = self.controls.changed(changes)

    def state(self) -> dict[str, object]:
        """Return the settings, the device of each attached volume, and when copies were made."""
        with self._lock:
            regions = list(models.ec2_backends[_ACCOUNT].values())
            volumes = {name: self._disks.device(name) for ec2 in regions for name in ec2.volumes}
            copied = {
                name: snapshot.copied_ns
                for ec2 in regions
                for name, snapshot in ec2.snapshots.items()
                if isinstance(snapshot, CopiedSnapshot)
            }
        controls = {name: getattr(self.controls, name) for name in Controls.__slots__}
        return {
            "controls": controls,
            "copied_ns": copied,
            "devices": {name: device for name, device in volumes.items() if device},
        }

    def _take_fault(self, *, dry_run: bool) -> Fault | None:
        fault = self.controls.fault
        if fault is None or dry_run:
            return None
        self.controls = self.controls.after_a_hit()
        return fault

    def _moto(self, headers: dict[str, str], body: bytes) -> Answer:
        request = Request.from_primitives("POST", "http://ec2.amazonaws.com/", headers, body)
        with self._lock:
            status, _, text = EC2Response.dispatch(request, request.url, headers)
        return Answer(int(status), text.encode() if isinstance(text, str) else text)


def _backend(region: str) -> DiskBackend:
    """Return the Region's model. moto says EC2Backend; `install` has put ours in its place."""
    return cast("DiskBackend", models.ec2_backends[_ACCOUNT][region])


def _status(refused: EC2ClientError) -> int:
    return 412 if refused.code == "DryRunOperation" else 400


class Handler(BaseHTTPRequestHandler):
    """One connection, kept open between requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one packet
    endpoint: Endpoint

    def do_POST(self) -> None:
        """Serve EC2 and the settings."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/_lab/controls":
            try:
                self.endpoint.change(json.loads(body))
            except ValueError as wrong:
                self._send(400, str(wrong).encode(), "text/plain")
            else:
                self.do_GET()
            return
        try:
            answer = self.endpoint.answer(dict(self.headers), body)
        except Exception:  # noqa: BLE001  a bug of ours or moto's must be an answer, not a silence
            _log.exception("request_failed body=%s", body)
            answer = snapshots.error("InternalError", "see the lab's ec2.log", 500)
        if answer is None:
            self._hang()
        else:
            self._send(answer.status, answer.body, "text/xml;charset=UTF-8")

    def do_GET(self) -> None:
        """Serve the lab's own state."""
        self._send(200, json.dumps(self.endpoint.state()).encode(), "application/json")

    def log_message(self, *_: object) -> None:
        """Say nothing: a line per request is a system call per request."""

    def _hang(self) -> None:
        self.connection.settimeout(_HANG_S)
        with contextlib.suppress(OSError):
            self.connection.recv(1)  # returns when the caller gives up and closes
        self.close_connection = True

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = 64


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(prog="python -m lab.ec2.server", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--folder", type=Path, required=True, help="where volumes and snapshots lie"
    )
    parser.add_argument("--disks", choices=("images", "folders"), required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    disks = ImageDisks(options.folder) if options.disks == "images" else FolderDisks(options.folder)
    Handler.endpoint = Endpoint(disks)
    _backend("us-east-1")  # the first call of a run should not pay for it
    gc.freeze()
    Server(("127.0.0.1", options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
