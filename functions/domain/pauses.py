"""When CloudFront may be asked again, by what its answers were: derived from rows.

A refused batch is over and its paths go into another one, so no single row can tell how often it
was in vain. The latest rows together do.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final

from functions.domain.batch import BatchState
from functions.domain.completion import look_every_s
from functions.domain.invalidation_limits import Meaning, pause_s
from functions.domain.invalidation_record import Record

ENOUGH_RECORDS: Final = 12
"""So many refusals in a row have brought every pause to its longest. A half has its batch's place
among them: one that is refused when as many newer ones have come is not seen."""

_BETWEEN_LOOKS_S: Final = 20.0
"""Of a batch that is looked up: each time is claimed as one call, and may be nine."""

NO_ANSWER: Final = "no answer"

_NAMES: Final = frozenset(meaning.value for meaning in Meaning)

_STOPPING: Final = frozenset({Meaning.THROTTLED, Meaning.FULL, Meaning.FORBIDDEN, Meaning.UNKNOWN})
"""What would be answered to any other batch too; bad paths and references are a batch's own."""


def told(meaning: Meaning, why: str) -> str:
    """Return what a record keeps of an answer, from which `meaning_told` reads the meaning."""
    return f"{meaning}: {why}"


def meaning_told(why: str) -> Meaning:
    """Return the meaning of a record's last answer; an answer that never came tells nothing."""
    name = why.partition(": ")[0]
    return Meaning(name) if name in _NAMES else Meaning.UNKNOWN


def ask_again_at(record: Record) -> datetime:
    """Return when an unfinished batch may be asked for again.

    Whoever made a call and did not live to hear the answer left no `tries`: ask at once. What is
    looked for goes on by itself and stops no other.
    """
    if record.asked_at is None:
        return record.stored_at
    if record.looked_at is not None:
        every_s = look_every_s((record.looked_at - record.stored_at).total_seconds())
        return record.looked_at + timedelta(seconds=max(every_s, _BETWEEN_LOOKS_S))
    if not record.tries:
        return record.asked_at
    return record.asked_at + timedelta(seconds=pause_s(meaning_told(record.why), record.tries))


def next_batch_at(records: Iterable[Record]) -> datetime | None:
    """Return when another batch of a distribution may be sent; None for now.

    `records` are its latest ones, in any order. The pause grows with the answers in a row, the
    last of them first, that took nothing; what is only looked for by now makes none.
    """
    asked = [(record.asked_at, record) for record in records if record.asked_at is not None]
    asked.sort(key=lambda one: one[0], reverse=True)
    in_vain = [
        (at, record)
        for at, record in takewhile(lambda one: _in_vain(one[1]), asked)
        if meaning_told(record.why) in _STOPPING and record.looked_at is None
    ]
    if not in_vain:
        return None
    last_at, last = in_vain[0]
    times = sum(record.tries for _, record in in_vain)
    return last_at + timedelta(seconds=pause_s(meaning_told(last.why), times))


def _in_vain(record: Record) -> bool:
    return record.tries > 0 and record.state is not BatchState.ANSWERED
