"""What a wire does to the calls on it: without that a fault would not be the one it says."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from lab.faults import fates
from lab.faults.errors import MomentMissedError
from lab.faults.invocations import wrong_clock
from lab.faults.wire import Wire

_SHORT_S = 0.2


class Service(BaseHTTPRequestHandler):
    """Answers every call, and remembers the types of the messages in their order."""

    protocol_version = "HTTP/1.1"
    heard: list[str]

    def do_POST(self) -> None:
        """Answer one call."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.heard.append(json.loads(body["MessageBody"])["type"])
        answer = b'{"MessageId": "of the service"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def heard() -> list[str]:
    """Return what the service hears, while there is one."""
    Service.heard = []
    return Service.heard


@pytest.fixture
def wire(heard: list[str]) -> Iterator[Wire]:
    """Return a wire to a service."""
    assert heard == []
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        wire = Wire(f"http://127.0.0.1:{server.server_port}")
        yield wire
        wire.close()
        server.shutdown()


def caller(wire: Wire) -> HTTPConnection:
    """Return a connection over the wire."""
    return HTTPConnection(urlsplit(wire.url).netloc, timeout=5)


def send(line: HTTPConnection, message: str) -> dict[str, Any]:
    """Send a message, and return the answer."""
    body = json.dumps({"MessageBody": json.dumps({"type": message})})
    line.request("POST", "/", body, {"X-Amz-Target": "AmazonSQS.SendMessage"})
    answer: dict[str, Any] = json.loads(line.getresponse().read())
    return answer


def eventually(holds: Callable[[], bool]) -> bool:
    """Return whether it holds within two seconds."""
    give_up_at = time.monotonic() + 2
    while not holds():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.005)
    return True


def test_a_calm_wire_is_transparent(wire: Wire, heard: list[str]) -> None:
    """One call after the other goes over the same connection, to the service and back."""
    line = caller(wire)
    for message in ("prepare", "freeze"):
        assert send(line, message) == {"MessageId": "of the service"}
    assert heard == ["prepare", "freeze"]


def test_a_rule_meets_its_message_alone_and_so_often(wire: Wire, heard: list[str]) -> None:
    """Of all messages the first thaw is lost, though its sender is told that it was taken."""
    rule = wire.meet("SendMessage", fates.lost, message="thaw")
    line = caller(wire)
    for message in ("freeze", "thaw", "thaw"):
        assert "MessageId" in send(line, message)
    assert rule.met.is_set()
    assert heard == ["freeze", "thaw"]


def test_a_message_comes_twice_or_after_another(wire: Wire, heard: list[str]) -> None:
    """SQS delivers at least once, in any order."""
    thaw = wire.meet("SendMessage", fates.repeated, message="thaw")
    freeze = wire.meet("SendMessage", fates.after(thaw.met), message="freeze")
    line = caller(wire)
    send(line, "freeze")
    send(line, "thaw")
    freeze.await_met()
    assert heard == ["thaw", "thaw", "freeze"]


def test_a_held_call_goes_on_when_the_wire_is_calm(wire: Wire, heard: list[str]) -> None:
    """And not before."""
    rule = wire.meet("SendMessage", fates.held)
    threading.Thread(target=send, args=(caller(wire), "thaw")).start()
    rule.await_met()
    assert heard == []
    wire.calm()
    assert eventually(lambda: heard == ["thaw"])


def test_a_held_call_of_a_dead_caller_never_was(wire: Wire, heard: list[str]) -> None:
    """Killed before its call, a process has not called."""
    rule = wire.meet("SendMessage", fates.held)
    line = caller(wire)
    body = json.dumps({"MessageBody": json.dumps({"type": "thaw"})})
    line.request("POST", "/", body, {"X-Amz-Target": "AmazonSQS.SendMessage"})
    rule.await_met()
    line.close()
    wire.calm()
    send(caller(wire), "prepare")
    assert heard == ["prepare"]


def test_a_held_answer_is_of_a_call_that_was_done(wire: Wire, heard: list[str]) -> None:
    """Killed while it waits for the answer, a process has called."""
    rule = wire.meet("SendMessage", fates.held_answer)
    sender = threading.Thread(target=send, args=(caller(wire), "freeze"))
    sender.start()
    rule.await_met()
    assert heard == ["freeze"]
    wire.calm()
    sender.join()


def test_a_wire_that_is_down_refuses_and_breaks(wire: Wire) -> None:
    """Old connections and new ones; up again, it is at the same place."""
    line = caller(wire)
    send(line, "prepare")
    wire.down()
    with pytest.raises((HTTPException, OSError)):
        send(line, "freeze")
    with pytest.raises(ConnectionRefusedError):
        send(caller(wire), "freeze")
    wire.up()
    assert send(caller(wire), "freeze") == {"MessageId": "of the service"}


def test_a_slow_wire_is_slow(wire: Wire) -> None:
    """Each call takes so much longer."""
    wire.slow(_SHORT_S)
    began = time.monotonic()
    send(caller(wire), "prepare")
    assert time.monotonic() - began >= _SHORT_S


def test_a_spoiled_wire_answers_for_the_service(wire: Wire, heard: list[str]) -> None:
    """The service hears nothing; an answer that is cut off ends with its connection."""
    wire.spoil(fates.UNAVAILABLE)
    assert "ServiceUnavailable" in str(send(caller(wire), "prepare"))
    wire.spoil(fates.BROKEN_OFF)
    with pytest.raises(HTTPException):
        send(caller(wire), "prepare")
    assert heard == []


@pytest.mark.parametrize(("minutes", "taken"), [(4, True), (-4, True), (6, False), (-6, False)])
def test_a_stale_signature_is_refused(
    wire: Wire, heard: list[str], minutes: int, taken: bool
) -> None:
    """AWS bears a clock that is five minutes wrong, early or late; the lab's services any."""
    signed_at = datetime.now(UTC) + timedelta(minutes=minutes)
    line = caller(wire)
    headers = {"X-Amz-Target": "SQS.SendMessage", "X-Amz-Date": f"{signed_at:%Y%m%dT%H%M%SZ}"}
    line.request("POST", "/", json.dumps({"MessageBody": '{"type": "thaw"}'}), headers)
    assert line.getresponse().status == (200 if taken else 403)
    assert heard == ["thaw"] * taken


def test_a_moment_that_does_not_come_is_told(wire: Wire) -> None:
    """A fault whose call never came was never tried."""
    rule = wire.meet("SendMessage", fates.lost, message="thaw")
    with pytest.raises(MomentMissedError):
        rule.await_met(within_s=0.01)


def test_a_wrong_clock_is_wrong_by_the_wall_alone() -> None:
    """What the fault of an hour is about: the date is wrong, deadlines and pauses are right."""
    program = (
        "import time; from datetime import UTC, datetime; time.sleep(0.01);"
        "print(time.time(), datetime.now(UTC).timestamp(), time.monotonic())"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        env=wrong_clock(3600),
        capture_output=True,
        check=True,
        text=True,
    )
    seconds, at, monotonic = map(float, told.stdout.split())
    assert abs(seconds - datetime.now(UTC).timestamp() - 3600) < 30
    assert abs(at - seconds) < 1
    assert 0 <= time.monotonic() - monotonic < 30
