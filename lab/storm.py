"""The storm of uploads: what is uploaded, and what S3 tells of it, also twice and late.

The same seed makes the same storm.
"""

import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any
from urllib.parse import quote_plus

from lab.edge.process import Edge
from lab.emulator import REGION
from lab.region import Region
from lab.site import BUCKET

QUEUE = "holdstill-uploads"
_MESSAGES_A_CALL = 10
_AT_ONCE = 4
_LATEST_S = 20.0
"""A repeated or a late message comes up to this long after the first one."""
_FIRST_SEQUENCER = 0x6612800000000
"""Of the form that S3's have, for 1,000 apart."""
_LOOK_EVERY_S = 0.2
_FAULTS = ("throttle", "too-many", "unavailable-after", "hang-after", "unavailable")


@dataclass(frozen=True, slots=True)
class Storm:
    """How much is uploaded, in how many s, and which parts of it are told of twice and late."""

    uploads: int = 10_000
    folders: int = 200
    unchanged: int = 10
    """Objects of each folder that nobody uploads."""
    over_s: float = 60.0
    repeated: float = 0.2
    late: float = 0.1
    seed: int = 1

    @property
    def changed(self) -> list[str]:
        """The keys that are uploaded, in an order in which the folders take turns."""
        return [
            f"shop/{number % self.folders:03}/foto {number // self.folders:03}.jpg"
            for number in range(self.uploads)
        ]

    @property
    def left_alone(self) -> list[str]:
        """The keys that are not."""
        return [
            f"shop/{folder:03}/kept {number:03}.jpg"
            for folder in range(self.folders)
            for number in range(self.unchanged)
        ]


@dataclass(frozen=True, slots=True)
class Event:
    """A message of S3's: `due_s` after the storm's begin it is sent, `at_s` it says it happened."""

    due_s: float
    key: str
    at_s: float
    sequencer: int

    def body(self, began_at: datetime) -> str:
        """Return the message, as S3 writes it."""
        at = began_at + timedelta(seconds=self.at_s)
        record = {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": REGION,
            "eventTime": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z",
            "eventName": "ObjectCreated:Put",
            "s3": {
                "s3SchemaVersion": "1.0",
                "bucket": {"name": BUCKET, "arn": f"arn:aws:s3:::{BUCKET}"},
                "object": {
                    "key": quote_plus(self.key, safe="/"),
                    "size": 3,
                    "sequencer": f"{self.sequencer:018X}",
                },
            },
        }
        return json.dumps({"Records": [record]})


def events_of(storm: Storm) -> list[Event]:
    """Return all messages, in the order in which they are sent.

    A repeated one is the same again. A late one tells of an earlier upload of the same object, and
    comes when the later one has been told of.
    """
    chance = random.Random(storm.seed)  # noqa: S311  a storm is no secret
    firsts = [
        Event(
            number * storm.over_s / storm.uploads,
            key,
            number * storm.over_s / storm.uploads,
            _FIRST_SEQUENCER + 1000 * number,
        )
        for number, key in enumerate(storm.changed)
    ]
    more = list(_more(storm, firsts, chance))
    return sorted([*firsts, *more], key=lambda event: event.due_s)


def _more(storm: Storm, firsts: list[Event], chance: random.Random) -> Iterator[Event]:
    for event in chance.sample(firsts, round(storm.repeated * storm.uploads)):
        yield replace(event, due_s=_later(storm, event, chance))
    for event in chance.sample(firsts, round(storm.late * storm.uploads)):
        earlier = replace(event, at_s=event.at_s - 30, sequencer=event.sequencer - 500)
        yield replace(earlier, due_s=_later(storm, event, chance))


def _later(storm: Storm, event: Event, chance: random.Random) -> float:
    return min(event.due_s + chance.uniform(0, _LATEST_S), storm.over_s)


def send(region: Region, events: Sequence[Event], began_at: datetime) -> float:
    """Send each message when it is due; return by how many s the latest of them was late."""
    sqs = region.client("sqs", max_pool_connections=_AT_ONCE)
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]

    def send_some(some: Sequence[Event]) -> float:
        late_s = _wait(began_at, some[-1].due_s)
        entries = [
            {"Id": str(number), "MessageBody": event.body(began_at)}
            for number, event in enumerate(some)
        ]
        answer: dict[str, Any] = sqs.send_message_batch(QueueUrl=url, Entries=entries)
        if answer.get("Failed"):
            raise RuntimeError(f"the queue refused messages: {answer['Failed']}")
        return late_s

    calls = [events[i : i + _MESSAGES_A_CALL] for i in range(0, len(events), _MESSAGES_A_CALL)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return max(pool.map(send_some, calls))


def _wait(began_at: datetime, due_s: float) -> float:
    ahead_s = due_s - (datetime.now(UTC) - began_at).total_seconds()
    time.sleep(max(ahead_s, 0))
    return max(-ahead_s, 0)


class Trouble:
    """Lets every so many-th call of CreateInvalidation fail, each time in another way."""

    def __init__(self, edge: Edge, every: int) -> None:
        self._edge = edge
        self._every = every
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._make, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._edge.control(fault=None)

    def _make(self) -> None:
        made_before = 0
        for fault in cycle(_FAULTS):
            while self._made() < made_before + self._every - 1:
                if self._end.wait(_LOOK_EVERY_S):
                    return
            self._edge.control(fault=fault, fault_times=1)
            made_before = self._made() + 1

    def _made(self) -> int:
        calls: dict[str, int] = self._edge.state()["calls"]
        return calls.get("CreateInvalidation", 0)
