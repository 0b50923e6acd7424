"""Whose clock is wrong, by the date of SQS's answers."""

import io
import threading
import time
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdstill_agent.clock import of_date_header
from holdstill_agent.log import Log
from holdstill_agent.queues import Delivery, Receiver, skew
from tests.unit.queues.fake_queue import DATE, FakeQueue


@pytest.mark.parametrize(
    ("second", "millisecond", "expected"), [(0, 0, -500), (1, 0, 500), (10, 250, 9750)]
)
def test_skew_is_measured_from_the_middle_of_the_second(
    second: int, millisecond: int, expected: int
) -> None:
    """The Date header counts seconds, so the measure is right to half of one."""
    now = datetime(2030, 1, 1, 0, 0, second, millisecond * 1000, tzinfo=UTC)
    assert skew({"ResponseMetadata": {"HTTPHeaders": {"date": DATE}}}, now) == expected


def test_unknown_skew_is_none() -> None:
    """Without the header nothing is known, and nothing is refused for it."""
    response: dict[str, Any] = {"ResponseMetadata": {"HTTPHeaders": {}}}
    assert skew(response, datetime(2030, 1, 1, tzinfo=UTC)) == 0


@pytest.mark.parametrize("date", ["garbage", "", "Tue, 01 Jan 0999 00:00:00 GMT"])
def test_a_date_that_is_none_tells_no_skew(date: str) -> None:
    """It is as good as no header."""
    response: dict[str, Any] = {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}
    assert skew(response, datetime(2030, 1, 1, tzinfo=UTC)) == 0


@given(st.text(max_size=40) | st.from_regex(r"1 Jan \d{1,5} 0:0:0 [+-]\d{1,12}", fullmatch=True))
def test_any_date_is_an_instant_or_none(text: str) -> None:
    """Whoever wrote it, it raises nothing, and what is computed with it stays in the calendar."""
    at = of_date_header(text)
    assert at is None or (at.utcoffset() == timedelta(0) and 2000 <= at.year < 3000)


def test_a_date_without_an_offset_is_not_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """-0000 stands for UTC of an unknown place."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "JST-9")
        time.tzset()
        at = of_date_header("Tue, 01 Jan 2030 00:00:00 -0000")
    time.tzset()
    assert at == datetime(2030, 1, 1, tzinfo=UTC)


def test_a_command_with_a_garbage_date_is_delivered(fake: FakeQueue) -> None:
    """The skew is unknown then, no more."""
    fake.date, fake.waiting = "garbage", ["one"]
    delivered: SimpleQueue[Delivery] = SimpleQueue()
    notes = Log(io.StringIO())
    Receiver(fake, "commands", delivered.put, threading.Event(), notes).start()
    assert delivered.get(timeout=5).skew_ms == 0
