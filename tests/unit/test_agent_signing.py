"""A host whose clock is wrong can still say so: its signatures follow SQS's clock."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from holdstill_agent import signing
from holdstill_agent.queues import make_client

_ALLOWED = timedelta(minutes=5)


class Sqs(BaseHTTPRequestHandler):
    """Takes what is signed within five minutes of its own clock, as AWS does."""

    protocol_version = "HTTP/1.1"
    forbids_all = False

    def do_POST(self) -> None:
        """Answer one call."""
        self.rfile.read(int(self.headers["Content-Length"]))
        text = self.headers["X-Amz-Date"]
        signed_at = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        day = self.headers["Authorization"].partition("Credential=")[2].split("/")[1]
        fits = abs(datetime.now(UTC) - signed_at) < _ALLOWED and text.startswith(day)
        status, answer = 200, {"MessageId": "1"}
        if self.forbids_all or not fits:
            status, answer = 403, {"__type": "InvalidSignatureException", "message": "expired"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return the agent's client of such an SQS, with a right clock."""
    monkeypatch.setattr(Sqs, "forbids_all", False)
    monkeypatch.setattr(signing.QueuesClockAuth, "ahead", timedelta(0))
    with ThreadingHTTPServer(("127.0.0.1", 0), Sqs) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield make_client("ap-northeast-1")
        server.shutdown()


def send(client: Any) -> str:
    """Send something."""
    answer = client.send_message(QueueUrl="http://127.0.0.1/1/replies", MessageBody="{}")
    return str(answer["MessageId"])


@pytest.mark.parametrize("hours", [1, -1, 30])
def test_a_refused_signature_is_made_by_the_queues_clock(
    client: Any, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """The first call is refused, and tells the time; the next is taken."""
    monkeypatch.setattr(signing, "wall", lambda: datetime.now(UTC) + timedelta(hours=hours))
    with pytest.raises(ClientError, match="InvalidSignature"):
        send(client)
    assert send(client) == "1"


def test_a_right_clock_signs_by_itself(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal for another reason changes nothing."""
    assert send(client) == "1"
    monkeypatch.setattr(Sqs, "forbids_all", True)
    with pytest.raises(ClientError):
        send(client)
    assert signing.QueuesClockAuth.ahead == timedelta(0)
