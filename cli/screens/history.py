"""The history for people: a few lines for each invalidation."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from cli.history import Entry, History, askers
from cli.screens.console import output
from cli.spelling import counted, shown
from functions.domain import instants
from functions.domain.batch import BatchState
from functions.domain.invalidation_record import Aside
from functions.domain.uploads import Kind
from functions.domain.waiting import Waiting
from functions.domain.wildcards import is_wildcard

MOST_SHOWN: Final = 5
"""Exact paths, or keys, of one invalidation; --json has them all."""

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


def show(found: History, now: datetime) -> None:
    """Show invalidations, what waits, and what was set aside."""
    console = output()
    for line in _lines(found, now):
        console.print(line)


def age(seconds: float) -> str:
    """Return an age as people say it, in its largest unit."""
    for unit_s, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _lines(found: History, now: datetime) -> Iterator[str]:
    for entry in found.entries:
        yield from _entry(entry, now)
    if found.looked_through:
        yield f"Only the newest {found.looked_through:,} on its distributions were looked through."
    elif not found.entries:
        yield "No invalidation yet."
    yield from _waiting(found.waiting, now)
    yield from _asides(found.aside, now)


def _entry(entry: Entry, now: datetime) -> Iterator[str]:
    record, contents = entry.record, entry.contents
    old = age((now - record.stored_at).total_seconds())
    name = record.invalidation_id or f"batch {record.batch_id}"
    yield f"{entry.state}, {old} ago: {name} on {record.distribution}"
    if record.why and (record.given_up_at or not record.invalidation_id):
        yield f"  because  {shown(record.why)}"
    wildcards = [path for path in contents.paths if is_wildcard(path)]
    exact = [path for path in contents.paths if not is_wildcard(path)]
    yield f"  paths    {len(exact):,} exact, {counted(len(wildcards), 'wildcard')}"
    for path in wildcards:
        yield f"           {path}  {shown(contents.reasons.get(path, ''))}".rstrip()
    yield from _some(exact)
    keys = tuple(dict.fromkeys(row.change.key for row in contents.causes))
    yield f"  keys     {len(keys):,}"
    yield from _some(keys)
    yield f"  asked by {_joined(entry.askers)}"
    yield f"  times    {_times(entry)}"


def _times(entry: Entry) -> str:
    """Return uploaded -> requested -> completed, the latter two in seconds after the first."""
    uploaded_at, record = entry.uploaded_at, entry.record
    begin = uploaded_at or record.stored_at
    steps = [f"{_began(entry)} {instants.text(begin)}"]
    for name, at in (("requested", record.asked_at), ("completed", record.completed_at)):
        if at:
            steps.append(f"{name} +{(at - begin).total_seconds():.1f} s")
        elif record.given_up_at:
            steps.append(f"given up +{(record.given_up_at - begin).total_seconds():.1f} s")
        elif record.state is not BatchState.REFUSED:
            steps.append(f"not {name} yet")
            break
    return " → ".join(steps)


def _began(entry: Entry) -> str:
    causes = entry.contents.causes
    if not causes:
        return "stored"
    return "asked" if all(row.change.kind is Kind.ASKED for row in causes) else "uploaded"


def _waiting(rows: Sequence[Waiting], now: datetime) -> Iterator[str]:
    if not rows:
        yield "Nothing waits."
        return
    oldest = min(row.change.at for row in rows)
    old = age((now - oldest).total_seconds())
    yield f"Waiting: {counted(len(rows), 'row')}, the oldest for {old}"
    yield from _some(tuple(dict.fromkeys(f"{row.path.text} on {row.distribution}" for row in rows)))
    yield f"  asked by {_joined(askers(rows))}"


def _asides(asides: Sequence[Aside], now: datetime) -> Iterator[str]:
    if asides:
        yield f"Set aside, because CloudFront refuses it: {counted(len(asides), 'path')}"
    for aside in asides:
        old = age((now - aside.at).total_seconds())
        yield f"  {aside.path} on {aside.distribution}, {old} ago: {shown(aside.why)}"
        yield from _some(aside.keys)


def _some(texts: Sequence[str]) -> Iterator[str]:
    for text in texts[:MOST_SHOWN]:
        yield f"           {shown(text)}"
    if len(texts) > MOST_SHOWN:
        yield f"           and {len(texts) - MOST_SHOWN:,} more"


def _joined(names: Sequence[str]) -> str:
    return shown(", ".join(names))
