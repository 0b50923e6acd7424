"""Messages as JSON, protocol version 1: one object a message.

Strict about what version 1 needs (presence, type, form), silent about fields it does not know.

What is sent is ASCII: SQS refuses some characters (U+FFFE, a lone surrogate for a byte of a path
that is no UTF-8), and JSON escapes them all.
"""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime

from holdstill_protocol.errors import (
    MalformedMessageError,
    UnknownTypeError,
    UnsupportedVersionError,
)
from holdstill_protocol.fields import Fields
from holdstill_protocol.messages import (
    VERSION,
    Check,
    Command,
    Freeze,
    Frozen,
    Lock,
    Position,
    Prepare,
    Prepared,
    RefusalCode,
    Refused,
    Reply,
    SourcePosition,
    Thaw,
    Thawed,
    ThawReason,
)

MAX_CHARACTERS = 262_144
"""Ours are below 4 KiB but for a long GTID set; SQS carries 1 MiB, too much noise to parse."""

MAX_DETAIL_CHARACTERS = 20_000
"""Of all details of a reply together. JSON may take twelve for one, and the reader takes those."""

_TYPES: dict[type[Command | Reply], str] = {
    Prepare: "prepare",
    Freeze: "freeze",
    Thaw: "thaw",
    Prepared: "prepared",
    Frozen: "frozen",
    Thawed: "thawed",
    Refused: "refused",
}


def encode(message: Command | Reply) -> str:
    """Return the message's JSON text, in ASCII; a detail that is too long is cut."""
    body = {"v": VERSION, "type": _TYPES[type(message)], **asdict(_bounded(message))}
    return json.dumps(body, default=_iso8601, separators=(",", ":"))


def decode_command(text: str) -> Command:
    """Return the command in `text`; raise a `ProtocolError` that says what is wrong with it."""
    fields = _open(text)
    run_id, target = fields.run_id(), fields.text("target")
    seq, expires_at = fields.whole("seq"), fields.instant("expires_at")
    match fields.text("type"):
        case "prepare":
            return Prepare(run_id, target, seq, expires_at)
        case "freeze":
            return Freeze(run_id, target, seq, expires_at)
        case "thaw":
            return Thaw(run_id, target, seq, expires_at)
        case other:
            raise UnknownTypeError(f"unknown command type {other[:40]!r}", run_id=run_id)


def decode_reply(text: str) -> Reply:
    """Return the reply in `text`; raise a `ProtocolError` that says what is wrong with it."""
    fields = _open(text)
    run_id, target = fields.run_id(), fields.text("target")
    match fields.text("type"):
        case "prepared":
            return Prepared(
                run_id,
                target,
                volumes=fields.texts("volumes"),
                checks=tuple(
                    Check(check.text("name"), check.flag("passed"), check.text("detail"))
                    for check in fields.objects("checks")
                ),
                lock=fields.choice("lock", Lock),
                freeze=fields.flag("freeze"),
                budget_ms=fields.whole("budget_ms"),
            )
        case "frozen":
            return Frozen(
                run_id,
                target,
                lock_wait_ms=fields.whole("lock_wait_ms"),
                freeze_ms=fields.whole("freeze_ms"),
                position=_position(fields.object_or_none("position")),
            )
        case "thawed":
            return Thawed(
                run_id,
                target,
                reason=fields.choice("reason", ThawReason),
                intact=fields.flag("intact"),
                held_ms=fields.whole("held_ms"),
                locked_ms=fields.whole("locked_ms"),
            )
        case "refused":
            return Refused(
                run_id,
                target,
                code=fields.choice("code", RefusalCode),
                detail=fields.text("detail"),
            )
        case other:
            raise UnknownTypeError(f"unknown reply type {other[:40]!r}", run_id=run_id)


def _position(fields: Fields | None) -> Position | None:
    if fields is None:
        return None
    return Position(
        engine=fields.text("engine"),
        version=fields.text("version"),
        server_uuid=fields.text_or_none("server_uuid"),
        file=fields.text_or_none("file"),
        offset=fields.whole_or_none("offset"),
        gtid=fields.text("gtid"),
        sources=tuple(
            SourcePosition(
                channel=source.text("channel"),
                host=source.text("host"),
                port=source.whole("port"),
                file=source.text_or_none("file"),
                offset=source.whole_or_none("offset"),
                gtid=source.text("gtid"),
            )
            for source in fields.objects_or_empty("sources")
        ),
    )


def _bounded(message: Command | Reply) -> Command | Reply:
    """Return the message with details that a reader takes."""
    match message:
        case Refused():
            return replace(message, detail=_cut(message.detail, MAX_DETAIL_CHARACTERS))
        case Prepared(checks=checks) if checks:
            most = MAX_DETAIL_CHARACTERS // len(checks)
            cut = tuple(replace(one, detail=_cut(one.detail, most)) for one in checks)
            return replace(message, checks=cut)
        case _:
            return message


def _cut(detail: str, most: int) -> str:
    return detail if len(detail) <= most else detail[: most - 1] + "…"


def _iso8601(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _open(text: str) -> Fields:
    """Return the fields of a version 1 message."""
    if len(text) > MAX_CHARACTERS:
        raise MalformedMessageError(f"{len(text)} characters; at most {MAX_CHARACTERS}")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:  # a thousand open brackets recurse
        raise MalformedMessageError("not JSON") from error
    if not isinstance(body, dict):
        raise MalformedMessageError("not a JSON object")
    fields = Fields(body)
    version = body.get("v")
    if type(version) is not int:
        raise MalformedMessageError("v must be a whole number", run_id=fields.named_run)
    if version != VERSION:
        raise UnsupportedVersionError(
            f"version {version}; this side speaks {VERSION}", run_id=fields.named_run
        )
    return fields
