"""Which paths clear which addresses: tried with an object for each question and repetition.

The object is put and asked for until it comes from the cache; then it is put anew, its path is
invalidated, and when that is completed the same address shows the old one or the new one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from functions.domain.wildcards import is_wildcard
from lab.live_probe.answers import UNCLEAR, Answer, one_of
from lab.live_probe.place import Place, Taken
from lab.live_probe.questions import QUERIES, RAW_PLUS, ROOT_BY_OBJECT, ROOT_BY_ROOT, Question
from lab.live_probe.trials import CLEARED, KEPT, REFUSED, Trial
from lab.live_probe.viewer import Seen

WILDCARDS_AT_ONCE: Final = 10
"""CloudFront takes 15 in progress; somebody else may have some."""

_VISITS: Final = 8
_OLD, _NEW = "old", "new"


@dataclass(frozen=True, slots=True)
class _Tried:
    trial: Trial
    folder: str
    """Of this one repetition, below the probe's: `12-a/`."""


def clearing(place: Place, trials: Sequence[Trial], repeat: int) -> Iterator[Answer]:
    """Yield the answer of each trial. Raise ProbeError, or what the clients raise."""
    tried = [
        _Tried(trial, f"{number}-{time_}/")
        for number, trial in enumerate(trials)
        for time_ in range(repeat)
    ]
    for one in tried:
        place.put(one.folder + one.trial.key, _OLD)
    unfit = {one.folder: why for one in tried if (why := _unfit(place, one))}
    for one in tried:
        place.put(one.folder + one.trial.key, _NEW)
    refused = _invalidate(place, [one for one in tried if one.folder not in unfit])
    outcomes: dict[str, list[tuple[str, str]]] = {}
    for one in tried:
        if one.folder in unfit:
            outcome = UNCLEAR, unfit[one.folder]
        elif one.folder in refused:
            outcome = REFUSED, refused[one.folder]
        else:
            outcome = _outcome(place.viewer.get(_target(place, one)))
        outcomes.setdefault(one.trial.question.id, []).append(outcome)
    for trial in trials:
        yield one_of(trial.question, outcomes[trial.question.id])


def raw_plus(place: Place) -> Answer:
    """Answer which of two objects a raw `+` names."""
    place.put("raw-plus/a b.txt", "the one with a space")
    place.put("raw-plus/a+b.txt", "the one with a plus")
    seen = place.viewer.get(f"{place.folder}raw-plus/a+b.txt")
    if seen.body.startswith("the one with"):
        return Answer(RAW_PLUS, seen.body)
    return Answer(RAW_PLUS, UNCLEAR, {"status": seen.status, "x_cache": seen.x_cache})


def queries(place: Place) -> Answer:
    """Answer whether `?v=2` is served from what `?v=1` has cached."""
    place.put("queries.txt", "any")
    first = f"{place.folder}queries.txt?v=1"
    if not _cached(place, first, "any"):
        return Answer(QUERIES, UNCLEAR)
    other = place.viewer.get(f"{place.folder}queries.txt?v=2")
    return Answer(QUERIES, "no" if other.cached else "yes", {"x_cache": other.x_cache})


def root(place: Place, repeat: int) -> Iterator[Answer]:
    """Yield whether `/` and the default root object's path clear one another's address.

    The root is not the probe's to change: what is looked at is whether it still comes from the
    cache. Its object is dropped from the cache a few times, no more.
    """
    name = f"/{place.default_root_object}"
    for question, path, viewed in ((ROOT_BY_OBJECT, name, "/"), (ROOT_BY_ROOT, "/", name)):
        yield one_of(
            question, [_root_once(place, question, path, viewed, turn) for turn in range(repeat)]
        )


def _root_once(
    place: Place, question: Question, path: str, viewed: str, turn: int
) -> tuple[str, str]:
    if not place.default_root_object:
        return UNCLEAR, "the distribution has no default root object"
    if not _cached(place, viewed, None):
        return UNCLEAR, f"{viewed} is not served from the cache"
    answer = place.ask([path], f"{place.folder}{question.id}-{turn}")
    if not isinstance(answer, Taken):
        return REFUSED, str(answer)
    place.await_completion(answer)
    seen = place.viewer.get(viewed)
    return KEPT if seen.cached else CLEARED, seen.x_cache


def _unfit(place: Place, one: _Tried) -> str:
    """Return why nothing can be learnt of an address: it is not cached; nothing where it is."""
    target = _target(place, one)
    if _cached(place, target, _OLD):
        return ""
    seen = place.viewer.get(target)
    return f"not served from the cache: {seen.status} {seen.x_cache}"


def _cached(place: Place, target: str, body: str | None) -> bool:
    """Ask for an address until the cache answers; with that body, where one is given."""
    for _ in range(_VISITS):
        seen = place.viewer.get(target)
        if seen.cached and body in {None, seen.body}:
            return True
    return False


def _invalidate(place: Place, tried: Sequence[_Tried]) -> dict[str, str]:
    """Invalidate the paths of all, and wait for it; return the refused by folder, and why."""
    by_path = {_path(place, one): one for one in tried if one.trial.path is not None}
    # those that are likely to be refused go alone: else the others are halved around each
    alone = [path for path, one in by_path.items() if REFUSED in one.trial.question.relied_on]
    rest = [path for path in by_path if path not in alone]
    wild = [path for path in rest if is_wildcard(path)]
    parts = [
        *([path] for path in alone),
        [path for path in rest if not is_wildcard(path)],
        *(
            wild[begin : begin + WILDCARDS_AT_ONCE]
            for begin in range(0, len(wild), WILDCARDS_AT_ONCE)
        ),
    ]
    refused: dict[str, str] = {}
    for number, paths in enumerate(parts):
        taken, bad = place.ask_all(paths, f"{place.folder}clearing-{number}")
        for one in taken:
            place.await_completion(one)
        refused |= {by_path[path].folder: str(why) for path, why in bad.items()}
    return refused


def _outcome(seen: Seen) -> tuple[str, str]:
    words = {_OLD: KEPT, _NEW: CLEARED}
    return words.get(seen.body, UNCLEAR), f"{seen.status} {seen.x_cache}"


def _target(place: Place, one: _Tried) -> str:
    return f"{place.folder}{one.folder}{one.trial.viewed}"


def _path(place: Place, one: _Tried) -> str:
    return f"{place.folder}{one.folder}{one.trial.path}"
