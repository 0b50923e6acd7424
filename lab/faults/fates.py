"""What may become of a call on a wire, and the answers that are none."""

import hashlib
import json
import threading
import uuid
from typing import Final

from lab.faults.exchange import JSON, Answer
from lab.faults.wire import CallerGoneError, Fate, Passage

_LONGEST_S: Final = 60.0

HTML: Final = Answer.of(200, b"<html><body>Sign in to the guest network</body></html>", "text/html")
"""Garbage: a portal's page in place of an answer."""

NOT_JSON: Final = Answer.of(200, b'{"Messages": [{"Body": ', JSON)
"""Garbage: an answer that ends in the middle, and says that it is whole."""

BROKEN_OFF: Final = Answer.of(200, b'{"MessageId": "1", "Messages": []}', JSON).cut()
"""Garbage: the connection ends in the middle of an answer."""


def failure(status: int, code: str) -> Answer:
    """Return an error of SQS or DynamoDB."""
    body = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": code})
    return Answer.of(status, body.encode(), JSON)


UNAVAILABLE: Final = failure(503, "ServiceUnavailable")
INTERNAL: Final = failure(500, "InternalFailure")
THROTTLED: Final = failure(400, "RequestThrottled")


def refused_by_ec2(status: int, code: str, message: str) -> Fate:
    """Return the fate of a call that EC2 answers with an error, and has done nothing."""
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error>'
        f"<Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        "<RequestID>00000000-0000-4000-8000-000000000000</RequestID></Response>"
    )
    return answered(Answer.of(status, xml.encode(), "text/xml"))


def answered(answer: Answer) -> Fate:
    """Return the fate of a call that is answered without a word to the service."""

    def fate(passage: Passage) -> Answer:
        passage.met.set()
        return answer

    return fate


def held(passage: Passage) -> Answer:
    """Hold a call before it is sent on, until the wire is calm; then it goes."""
    passage.met.set()
    passage.calmed.wait(_LONGEST_S)
    return passage.forward()


def held_answer(passage: Passage) -> Answer:
    """Let the service do what is asked, and hold its answer until the wire is calm."""
    answer = passage.forward()
    passage.met.set()
    passage.calmed.wait(_LONGEST_S)
    return answer


def lost(passage: Passage) -> Answer:
    """Tell the sender that its message was taken, and lose it."""
    passage.met.set()
    return _taken(passage)


def repeated(passage: Passage) -> Answer:
    """Deliver a message twice."""
    passage.forward()
    answer = passage.forward()
    passage.met.set()
    return answer


def late(by_s: float) -> Fate:
    """Return the fate of a message that arrives so much later, whatever happens meanwhile."""

    def fate(passage: Passage) -> Answer:
        _later(passage, threading.Event(), by_s)
        return _taken(passage)

    return fate


def done_unheard(by_s: float) -> Fate:
    """Return the fate of a call that is done so much later, and never answered."""

    def fate(passage: Passage) -> Answer:
        _later(passage, threading.Event(), by_s)
        passage.met.wait(_LONGEST_S)
        passage.calmed.wait(_LONGEST_S)
        raise CallerGoneError

    return fate


def after(other: threading.Event) -> Fate:
    """Return the fate of a message that arrives after something else, as by `Rule.met`."""

    def fate(passage: Passage) -> Answer:
        _later(passage, other, _LONGEST_S)
        return _taken(passage)

    return fate


def _later(passage: Passage, moment: threading.Event, within_s: float) -> None:
    def deliver() -> None:
        moment.wait(within_s)
        if not passage.calmed.is_set():
            passage.later()
        passage.met.set()

    threading.Thread(target=deliver, daemon=True).start()


def _taken(passage: Passage) -> Answer:
    """Return what SQS answers to a message."""
    body = json.loads(passage.call.body)["MessageBody"]
    digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
    answer = {"MessageId": str(uuid.uuid4()), "MD5OfMessageBody": digest}
    return Answer.of(200, json.dumps(answer).encode(), JSON)
