"""The rows of the uploads as text, and back: JSON, the same text for the same values.

What is at its default is left out. So a row that an earlier version wrote is still, as text, what
this version would write of it, although there are more fields by now; a condition on it holds.
Bytes are JSON compressed by zlib: the causes of a batch repeat one another nearly whole.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from typing import Any

from functions.domain import instants
from functions.domain.batch import BatchState
from functions.domain.invalidation_record import Aside, Contents, Record
from functions.domain.paths import Path
from functions.domain.uploads import Change, Kind
from functions.domain.waiting import Waiting

_INSTANTS = (
    "stored_at",
    "asked_at",
    "created_at",
    "completed_at",
    "looked_at",
    "given_up_at",
)


def write_change(change: Change) -> str:
    """Return a change as text."""
    return _text(_of_change(change))


def read_change(text: str) -> Change:
    """Return the change of a text."""
    return _change(json.loads(text))


def write_waiting(row: Waiting) -> str:
    """Return a waiting row as text."""
    return _text(_of_waiting(row))


def read_waiting(text: str) -> Waiting:
    """Return the waiting row of a text."""
    return _waiting(json.loads(text))


def write_record(record: Record) -> str:
    """Return a batch's record as text."""
    values = {
        field.name: _plain(getattr(record, field.name))
        for field in fields(record)
        if field.default is MISSING or getattr(record, field.name) != field.default
    }
    return _text(values)


def read_record(text: str) -> Record:
    """Return the record of a text."""
    values = json.loads(text)
    known = {field.name for field in fields(Record)} & values.keys()
    typed: dict[str, Any] = {
        name: instants.read(values[name]) for name in known.intersection(_INSTANTS)
    }
    if "state" in known:
        typed["state"] = BatchState(values["state"])
    return Record(**{name: values[name] for name in known} | typed)


def write_aside(aside: Aside) -> str:
    """Return a path that was set aside as text."""
    values = {name: _plain(getattr(aside, name)) for name in ("distribution", "path", "why", "at")}
    return _text({**values, "keys": aside.keys})


def read_aside(text: str) -> Aside:
    """Return the path that was set aside of a text."""
    values = json.loads(text)
    at, keys = instants.read(values["at"]), tuple(values["keys"])
    return Aside(values["distribution"], values["path"], values["why"], at, keys)


def write_contents(contents: Contents) -> bytes:
    """Return a batch's contents as bytes."""
    values = {
        "paths": contents.paths,
        "causes": list(map(_of_waiting, contents.causes)),
        "reasons": dict(contents.reasons),
    }
    return zlib.compress(_text(values).encode())


def read_contents(compressed: bytes) -> Contents:
    """Return the contents of bytes."""
    values = json.loads(zlib.decompress(compressed))
    causes = tuple(map(_waiting, values["causes"]))
    return Contents(tuple(values["paths"]), causes, values["reasons"])


def _of_waiting(row: Waiting) -> dict[str, Any]:
    values = {"distribution": row.distribution, "site": row.site, "path": row.path.text}
    more = {"reason": row.path.reason, "asked_by": row.asked_by}
    told = {name: value for name, value in more.items() if value}
    return {**values, **told, "change": _of_change(row.change)}


def _waiting(values: Mapping[str, Any]) -> Waiting:
    return Waiting(
        values["distribution"],
        values["site"],
        Path(values["path"], values.get("reason", "")),
        _change(values["change"]),
        values.get("asked_by", ""),
    )


def _of_change(change: Change) -> dict[str, Any]:
    values = {"bucket": change.bucket, "key": change.key, "kind": change.kind}
    sequencer = {} if change.sequencer is None else {"sequencer": change.sequencer}
    return {**values, **sequencer, "at": _plain(change.at)}


def _change(values: Mapping[str, Any]) -> Change:
    kind, at = Kind(values["kind"]), instants.read(values["at"])
    return Change(values["bucket"], values["key"], kind, values.get("sequencer"), at)


def _plain(value: Any) -> Any:
    """Return an instant as text; other values are such as JSON has."""
    # not instants.exact: it writes the years before 1000 as nothing can read them
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"))
