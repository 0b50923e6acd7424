"""The history as a JSON document, version 1. Instants are ISO 8601 in UTC, or null."""

import json
from datetime import datetime
from typing import Any

from cli.history import Entry, History
from functions.domain import instants
from functions.domain.invalidation_record import Aside
from functions.domain.waiting import Waiting
from functions.domain.wildcards import is_wildcard


def document(found: History) -> str:
    """Return the whole of it; every character beyond ASCII is escaped, so no terminal obeys one."""
    whole = {
        "v": 1,
        "invalidations": [_entry(entry) for entry in found.entries],
        "waiting": [_row(row) for row in found.waiting],
        "set_aside": [_aside(aside) for aside in found.aside],
        "looked_through": found.looked_through,
    }
    return json.dumps(whole, indent=2)


def _entry(entry: Entry) -> dict[str, Any]:
    record, contents = entry.record, entry.contents
    return {
        "distribution": record.distribution,
        "batch": record.batch_id,
        "invalidation": record.invalidation_id,
        "state": entry.state,
        "why": record.why,
        "exact": [path for path in contents.paths if not is_wildcard(path)],
        "wildcards": [
            {"path": path, "reason": contents.reasons.get(path, "")}
            for path in contents.paths
            if is_wildcard(path)
        ],
        "causes": [_row(row) for row in contents.causes],
        "uploaded_at": _text(entry.uploaded_at),
        "stored_at": _text(record.stored_at),
        "requested_at": _text(record.asked_at),
        "created_at": _text(record.created_at),
        "completed_at": _text(record.completed_at),
        "given_up_at": _text(record.given_up_at),
    }


def _row(row: Waiting) -> dict[str, Any]:
    return {
        "distribution": row.distribution,
        "site": row.site,
        "path": row.path.text,
        "reason": row.path.reason,
        "key": row.change.key,
        "kind": row.change.kind.value,
        "at": _text(row.change.at),
        "asked_by": row.asked_by,
    }


def _aside(aside: Aside) -> dict[str, Any]:
    return {
        "distribution": aside.distribution,
        "path": aside.path,
        "why": aside.why,
        "at": _text(aside.at),
        "keys": list(aside.keys),
    }


def _text(at: datetime | None) -> str | None:
    return None if at is None else instants.exact(at)
