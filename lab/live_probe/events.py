"""What S3's messages look like, how late they are, and whether the product reads them."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from botocore.exceptions import ClientError

from functions.domain.uploads import Change, UnreadableEventError, read
from lab.live_probe.answers import UNCLEAR, Answer
from lab.live_probe.listening import Listening
from lab.live_probe.questions import (
    BRIDGED_DELAY,
    BRIDGED_READ,
    BRIDGED_SEQUENCER,
    DIRECT_DELAY,
    DIRECT_READ,
    DIRECT_SEQUENCER,
    ORDER,
    OVERLAP,
    SECONDS,
    Question,
)

TWICE: Final = "twice.txt"
KEYS: Final = (
    "a b+c(1)~資料.txt",
    "100%.txt",
    "a%20b.txt",
    "\u304b\u3099.txt",
    "a//b!$&'.txt",
    TWICE,
)
WITHIN_S: Final = 120.0
_SETTLE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message that the product reads as one change, and when it was received."""

    body: str
    change: Change
    at_s: float


def events(listening: Listening, settle_s: float = _SETTLE_S) -> Iterator[Answer]:
    """Yield the answers. Raise ClientError.

    `settle_s`: how long new notifications take to be obeyed; S3 says minutes, so what is missed
    makes the answers unclear, not wrong.
    """
    time.sleep(settle_s)
    put_s = {key: listening.put(key) for key in KEYS}
    listening.put(TWICE)
    ways = ("direct", DIRECT_DELAY, DIRECT_READ), ("bridged", BRIDGED_DELAY, BRIDGED_READ)
    arrived: dict[str, list[Arrived]] = {}
    for way, delay, reading in ways:
        arrived[way], unread = _arrived(listening, way)
        yield _delays(delay, arrived[way], put_s)
        yield _read(reading, arrived[way], unread)
    for question, way in ((DIRECT_SEQUENCER, "direct"), (BRIDGED_SEQUENCER, "bridged")):
        yield _form(question, arrived[way])
    yield _order(arrived["direct"])
    times = [one.change.at for one in arrived["bridged"]]
    words = "yes" if any(at.microsecond for at in times) else "no"
    yield Answer(SECONDS, words if times else UNCLEAR, {"times": [str(at) for at in times]})
    yield _overlap(listening)


def _arrived(listening: Listening, way: str) -> tuple[list[Arrived], list[str]]:
    """Return the messages of all puts, and the bodies that the product cannot read."""
    arrived: list[Arrived] = []
    unread = []
    for body, at_s in listening.received(way, WITHIN_S):
        try:
            arrived += [Arrived(body, change, at_s) for change in read(body).changes]
        except UnreadableEventError as error:
            unread.append(f"{error}: {body}")
        if len(arrived) + len(unread) > len(KEYS):
            break
    return arrived, unread


def _delays(question: Question, arrived: Sequence[Arrived], put_s: dict[str, float]) -> Answer:
    first = {one.change.key: one.at_s for one in reversed(arrived)}
    delays = [round(first[key] - at_s, 2) for key, at_s in put_s.items() if key in first]
    if not delays:
        return Answer(question, UNCLEAR, {"why": f"nothing arrived within {WITHIN_S:.0f} s"})
    words = f"median {median(delays):.1f} s, longest {max(delays):.1f} s"
    return Answer(question, words, {"delays_s": delays})


def _read(question: Question, arrived: Sequence[Arrived], unread: Sequence[str]) -> Answer:
    found = {one.change.key for one in arrived}
    missing = sorted(set(KEYS) - found)
    strange = [one.body for one in arrived if one.change.key not in KEYS]
    if not unread and not strange:
        words = UNCLEAR if missing else "as it was put"
        return Answer(question, words, {"missing": missing, "message": _first(arrived)})
    return Answer(question, "otherwise", {"unread": [*unread, *strange], "missing": missing})


def _form(question: Question, arrived: Sequence[Arrived]) -> Answer:
    found = [one.change.sequencer or "" for one in arrived]
    forms = sorted({("00…" if text.startswith("00") else "no 00…") for text in found})
    return Answer(question, forms[0] if len(forms) == 1 else UNCLEAR, {"sequencers": found})


def _order(arrived: Sequence[Arrived]) -> Answer:
    mine = sorted(
        (one.change for one in arrived if one.change.key == TWICE), key=lambda change: change.at
    )
    found = [(change.sequencer or "").lower() for change in mine]
    if len(found) != len({TWICE}) + 1:
        return Answer(ORDER, UNCLEAR, {"sequencers": found})
    length = max(map(len, found))
    earlier, later = (text.ljust(length, "0") for text in found)
    words = "they grow" if earlier < later else "they do not grow"
    return Answer(ORDER, words, {"sequencers": found})


def _overlap(listening: Listening) -> Answer:
    try:
        listening.configure("a", "b")
    except ClientError as error:
        told = error.response["Error"]
        return Answer(OVERLAP, told["Code"], {"message": told.get("Message", "")})
    return Answer(OVERLAP, "accepted")


def _first(arrived: Sequence[Arrived]) -> str:
    return arrived[0].body if arrived else ""
