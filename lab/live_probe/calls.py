"""What CloudFront's API does with calls: repeated ones, too many of them, and how long it takes."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from botocore.exceptions import ClientError

from functions.domain.invalidation_limits import CALL_EVERY_S, CALLS_AT_ONCE, Meaning
from lab.live_probe.answers import UNCLEAR, Answer
from lab.live_probe.place import Place, ProbeError, Refusal, Taken
from lab.live_probe.questions import (
    BAD_PATH,
    BURST,
    COMPLETION,
    CREATED_AT,
    EFFECT,
    FRACTION,
    RATE,
    READS,
    REORDERED,
    REPEATED,
    REUSED,
    SAME_AGAIN,
    THROTTLED,
    Question,
)

MOST_IN_A_ROW: Final = 15
"""Calls that are tried at once: twice of what users report to be the burst."""
RATE_FOR_S: Final = 20.0
RATE_EVERY_S: Final = 0.5
_EFFECT_S, _COMPLETION_S = 5.0, 25.0
_LOOK_EVERY_S: Final = 0.1
_PATIENCE_S: Final = 60.0


def references(place: Place) -> Iterator[Answer]:
    """Yield what becomes of a caller reference that was used before, and of a bad path."""
    paths = [f"{place.folder}reference-{name}" for name in "abc"]
    reference = f"{place.folder}reference"
    first = place.ask(paths[:2], reference)
    if not isinstance(first, Taken):
        raise ProbeError(f"CreateInvalidation is refused: {first}")
    again = place.ask(paths[:2], reference)
    yield _compared(REPEATED, first, again)
    yield _compared(REORDERED, first, place.ask(paths[1::-1], reference))
    yield _compared(REUSED, first, place.ask(paths[2:], reference))
    bad = place.ask([paths[0].lstrip("/")], f"{reference}-bad")
    answer = "accepted" if isinstance(bad, Taken) else str(bad.meaning)
    yield Answer(BAD_PATH, answer, {"answered": str(bad)})


def times(place: Place, repeat: int) -> Iterator[Answer]:
    """Yield how CreateTime compares with our clock, and how long it takes to work and to end."""
    off, fractions, effects, completions = [], [], [], []
    for turn in range(repeat):
        name = f"times-{turn}.txt"
        target = f"{place.folder}{name}"
        place.put(name, "old")
        for _ in range(4):
            place.viewer.get(target)
        place.put(name, "new")
        before = datetime.now(UTC)
        taken = place.ask([target], f"{place.folder}times-{turn}")
        if not isinstance(taken, Taken):
            raise ProbeError(f"CreateInvalidation is refused: {taken}")
        between = before + (datetime.now(UTC) - before) / 2
        off.append(round((taken.created_at - between).total_seconds(), 3))
        fractions.append(taken.created_at.microsecond != 0)
        effects.append(_fresh_after_s(place, target, taken))
        completions.append(round(place.await_completion(taken), 1))
    worst = max(map(abs, off))
    yield Answer(CREATED_AT, "within 1 s" if worst <= 1 else "over 1 s", {"off_s": off})
    yield Answer(FRACTION, "yes" if any(fractions) else "no", {"times": len(fractions)})
    yield _within(EFFECT, effects, _EFFECT_S)
    yield _within(COMPLETION, completions, _COMPLETION_S)


def budget(place: Place, rest_s: float) -> Iterator[Answer]:
    """Yield the burst, the rate behind it, the refusal, and whether reads spend the same.

    `rest_s`: for how long nothing is called first, so that the account has its whole burst. Others
    who call CloudFront's API of this account meanwhile are throttled too.
    """
    time.sleep(rest_s)
    row, refusal = 0, None
    while refusal is None and row < MOST_IN_A_ROW:
        refusal = _one_call(place, f"burst-{row}")
        row += refusal is None
    words = "3 or more" if row >= CALLS_AT_ONCE else "fewer than 3"
    yield Answer(BURST, words, {"calls": row, "throttled_after_them": refusal is not None})
    if refusal is None:
        yield Answer(RATE, UNCLEAR, {"why": "never throttled"})
        yield Answer(THROTTLED, UNCLEAR, {"why": "never throttled"})
    else:
        yield _rate(place)
        yield Answer(THROTTLED, str(refusal.meaning), {"answered": str(refusal)})
    yield _reads(place, rest_s, row)


def _rate(place: Place) -> Answer:
    began_s, taken, tried = time.monotonic(), 0, 0
    while time.monotonic() < began_s + RATE_FOR_S:
        tried += 1
        taken += _one_call(place, f"rate-{tried}") is None
        time.sleep(RATE_EVERY_S)
    per_s = taken / (time.monotonic() - began_s)
    # one call less: where it begins between two refills is chance
    enough = taken + 1 >= RATE_FOR_S / CALL_EVERY_S
    words = "one in 2 s or more" if enough else "fewer than one in 2 s"
    return Answer(RATE, words, {"calls_per_s": round(per_s, 2), "taken": taken, "tried": tried})


def _reads(place: Place, rest_s: float, burst: int) -> Answer:
    """Read as often as the burst allows, then see whether there are calls left."""
    time.sleep(rest_s)
    for number in range(burst + 2):
        try:
            place.cloudfront.list_invalidations(DistributionId=place.distribution, MaxItems="1")
        except ClientError as error:
            if Refusal.of(error).meaning is not Meaning.THROTTLED:
                raise
            return Answer(READS, "yes", {"throttled_at_read": number + 1})
    refusal = _one_call(place, "after-reads")
    return Answer(READS, "no" if refusal is None else "yes", {"reads": burst + 2})


def _one_call(place: Place, name: str) -> Refusal | None:
    answer = place.call([f"{place.folder}budget"], f"{place.folder}{name}")
    if isinstance(answer, Taken):
        return None
    if answer.meaning is not Meaning.THROTTLED:
        raise ProbeError(f"CreateInvalidation is refused: {answer}")
    return answer


def _fresh_after_s(place: Place, target: str, taken: Taken) -> float:
    while time.monotonic() < taken.answered_s + _PATIENCE_S:
        if place.viewer.get(target).body == "new":
            break
        time.sleep(_LOOK_EVERY_S)
    return round(time.monotonic() - taken.answered_s, 1)


def _compared(question: Question, first: Taken, then: Taken | Refusal) -> Answer:
    if isinstance(then, Refusal):
        return Answer(question, str(then.meaning), {"answered": str(then)})
    same = (then.id, then.created_at) == (first.id, first.created_at)
    words = SAME_AGAIN if same else "another one"
    return Answer(question, words, {"first": str(first), "then": str(then)})


def _within(question: Question, seconds: list[float], limit_s: float) -> Answer:
    words = "within" if max(seconds) <= limit_s else "over"
    return Answer(question, f"{words} {limit_s:.0f} s", {"seconds": seconds})
