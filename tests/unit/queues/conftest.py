"""SQS, and a sender that is at work on it."""

import io

import pytest

from holdstill_agent.log import Log
from holdstill_agent.queues import Sender
from tests.unit.queues.fake_queue import FakeQueue


@pytest.fixture
def fake() -> FakeQueue:
    """Return SQS."""
    return FakeQueue()


@pytest.fixture
def sender(fake: FakeQueue) -> Sender:
    """Return a sender at work."""
    sender = Sender(fake, "commands", "replies", Log(io.StringIO()))
    sender.start()
    return sender
