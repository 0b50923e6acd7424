"""MiniStack as a child of the lab, on 127.0.0.1 and a free port."""

import json
import os
import socket
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import children
from lab.children import Child

REGION = "ap-northeast-1"
ACCOUNT = "000000000000"
"""MiniStack's account for the access key `test`; the EC2 endpoint uses the same."""
KEY = "test"
"""Access key and secret: of no account, and MiniStack gives it ACCOUNT."""
NOWHERE = "http://127.0.0.1:1"
"""Refuses every connection: of a service that a lab does without."""
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running MiniStack."""

    url: str
    sqs_url: str
    """The short way to its queues (`lab.queue_server`)."""
    child: Child

    def wait(self) -> None:
        """Wait until it answers. Raise ChildFailedError."""
        self.child.wait_for(lambda: answers(f"{self.url}/_ministack/health"), timeout_s=20)

    def reset(self) -> None:
        """Empty it: every resource of every service, in about 50 ms."""
        request(f"{self.url}/_ministack/reset", method="POST")

    def set_hop_ms(self, hop_ms: float) -> None:
        """Make each SQS message receivable `hop_ms` after its send, from now on."""
        request(f"{self.url}/_lab/hop", {"hop_ms": hop_ms})


def start(workdir: Path, ec2_url: str, cloudfront_url: str = NOWHERE) -> Emulator:
    """Start MiniStack, and do not wait for it; its Lambdas find EC2 and CloudFront at the URLs."""
    port, queue_port = free_port(), free_port()
    sqs_url = f"http://127.0.0.1:{queue_port}"
    scratch = workdir / "emulator"
    scratch.mkdir(parents=True, exist_ok=True)
    env = {
        **clean_environment(),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",  # without it: every interface
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "TMPDIR": str(scratch),  # the workers' code and its pid file
        "S3_DATA_DIR": str(scratch / "s3"),
        "MINISTACK_REGION": REGION,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL_EC2": ec2_url,
        "AWS_ENDPOINT_URL_SQS": sqs_url,
        "AWS_ENDPOINT_URL_CLOUDFRONT": cloudfront_url,
        "LAB_QUEUE_PORT": str(queue_port),
    }
    child = children.start(
        "emulator",
        [sys.executable, "-m", "lab.ministack_boot"],
        env=env,
        log=workdir / "emulator.log",
        cwd=_ROOT,
    )
    return Emulator(f"http://127.0.0.1:{port}", sqs_url, child)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def clean_environment() -> dict[str, str]:
    """Return this process's environment without anybody's AWS settings and Python paths.

    A real profile must never be used by mistake, and a PYTHONPATH would reach into the Lambdas and
    hide that a file is missing from their asset.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "PYTHON", "HOLDSTILL_"))
    }


def answers(url: str) -> bool:
    """Return whether an HTTP server answers 200 there."""
    try:
        request(url)
    except OSError:
        return False
    return True


def request(
    url: str, body: Mapping[str, object] | None = None, *, method: str | None = None
) -> Any:
    """Call one of the lab's own endpoints; return its JSON. Raise OSError when it is not there."""
    payload = json.dumps(body).encode() if body is not None else None
    call = urllib.request.Request(url, data=payload, method=method)  # noqa: S310  our own URL
    with urllib.request.urlopen(call, timeout=10) as response:  # noqa: S310
        text = response.read()
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None
