"""A host whose clock is wrong can still say so: its signatures follow SQS's clock, while it is."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.parsers import ResponseParserError

from holdstill_agent import signing
from holdstill_agent.queues import make_client

_ALLOWED = timedelta(minutes=5)


class Sqs(BaseHTTPRequestHandler):
    """Takes what is signed within five minutes of its own clock, as AWS does."""

    protocol_version = "HTTP/1.1"
    forbids_all = False
    kind = "application/x-amz-json-1.0"
    date = ""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the Date of the answer."""
        return self.date or super().date_time_string(timestamp)

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
        self.send_header("Content-Type", self.kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have such an SQS, with a right clock."""
    monkeypatch.setattr(Sqs, "forbids_all", False)
    monkeypatch.setattr(signing.QueuesClockAuth, "ahead", timedelta(0))
    with ThreadingHTTPServer(("127.0.0.1", 0), Sqs) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()


@pytest.fixture
def client(sqs: None, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ARG001 - it must be there
    """Return the agent's client of it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return make_client("ap-northeast-1")


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


@pytest.mark.parametrize("hours", [1, -1])
def test_a_mended_clock_is_signed_by_again(
    client: Any, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Mended while the agent runs, it costs one call, not the agent until it is started anew."""
    monkeypatch.setattr(signing, "wall", lambda: datetime.now(UTC) + timedelta(hours=hours))
    with pytest.raises(ClientError):
        send(client)
    assert send(client) == "1"
    monkeypatch.setattr(signing, "wall", lambda: datetime.now(UTC))
    with pytest.raises(ClientError, match="InvalidSignature"):
        send(client)
    assert send(client) == "1"


def test_a_strangers_refusal_sets_no_clock(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy with a clock of its own forbids once: what follows is signed as before."""
    with monkeypatch.context() as stranger:
        stranger.setattr(Sqs, "forbids_all", True)
        stranger.setattr(Sqs, "kind", "text/html")
        stranger.setattr(Sqs, "date", "Tue, 01 Jan 2030 00:00:00 GMT")
        with pytest.raises(ResponseParserError, match="not an answer of SQS"):
            send(client)
    assert send(client) == "1"


@pytest.mark.parametrize(
    "date",
    [
        "garbage",
        "Tue, 01 Jan 2030",
        "Tue, 01 Jan 0999 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Tue, 01 Jan 2030 00:00:00 +99999999999999",
    ],
)
def test_a_refusal_that_tells_no_time_is_only_a_refusal(
    client: Any, monkeypatch: pytest.MonkeyPatch, date: str
) -> None:
    """Whatever is in its Date, the call fails as any refused one, and sets no clock."""
    with monkeypatch.context() as confused:
        confused.setattr(Sqs, "forbids_all", True)
        confused.setattr(Sqs, "date", date)
        with pytest.raises(ClientError):
            send(client)
    assert send(client) == "1"


def test_credentials_may_come_after_the_agent(
    sqs: None,  # noqa: ARG001 - it must be there
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host that boots has its role when its agent is at work already: it is not deaf for that."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = make_client("ap-northeast-1")
    with pytest.raises(NoCredentialsError):
        send(client)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    assert send(client) == "1"
    assert send(client) == "1"
