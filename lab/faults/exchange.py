"""An HTTP request and its answer, as they pass through a wire."""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http import HTTPStatus
from http.client import HTTPResponse
from typing import Final, Self
from urllib.parse import parse_qs

JSON: Final = "application/x-amz-json-1.0"

_FORBIDDEN: Final = 403
_SIGNATURE_LASTS: Final = timedelta(minutes=5)
_END = b"\r\n\r\n"
_PIECE = 1 << 16
_OWN_HEADERS = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `action` is AWS's name for it, `message` the type of the message it sends.

    `dry_run`: it asks EC2 only whether it would be obeyed. `signed_at` is what its signature says,
    None where it has none.
    """

    raw: bytes
    body: bytes
    action: str
    message: str | None
    dry_run: bool
    signed_at: datetime | None

    @classmethod
    def read(cls, caller: socket.socket) -> Self | None:
        """Read a whole request; None where the caller has hung up."""
        raw = b""
        while _END not in raw:
            if not (piece := caller.recv(_PIECE)):
                return None
            raw += piece
        head, _, body = raw.partition(_END)
        headers = _headers(head)
        length = int(headers.get("content-length", 0))
        while len(body) < length:
            if not (piece := caller.recv(_PIECE)):
                return None
            body += piece
        return cls(
            head + _END + body,
            body,
            _action(headers, body),
            _message(body),
            b"DryRun=true" in body,
            _signed_at(headers.get("x-amz-date", "")),
        )

    def stale(self) -> "Answer | None":
        """Return AWS's refusal of a signature that is five minutes old, or early; None if it fits.

        The lab's services do not look at signatures.
        """
        if self.signed_at is None:
            return None
        late = datetime.now(UTC) - self.signed_at
        if abs(late) < _SIGNATURE_LASTS:
            return None
        how = "expired" if late > _SIGNATURE_LASTS else "not yet current"
        refusal = {
            "__type": "com.amazon.coral.service#InvalidSignatureException",
            "message": f"Signature {how}: {self.signed_at:%Y%m%dT%H%M%SZ}",
        }
        headers = {"Content-Type": JSON, "Date": formatdate(usegmt=True)}
        return Answer(_FORBIDDEN, headers, json.dumps(refusal).encode())


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `cut_at`: hang up after so many bytes of the body, the header promising all."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut_at: int | None = None

    @classmethod
    def read(cls, upstream: socket.socket) -> Self:
        """Read a whole answer."""
        response = HTTPResponse(upstream)
        response.begin()
        body = response.read()
        headers = {name: value for name, value in response.getheaders() if _kept(name)}
        return cls(response.status, headers, body)

    @classmethod
    def of(cls, status: int, body: bytes, content_type: str) -> Self:
        """Make one."""
        return cls(status, {"Content-Type": content_type}, body)

    def cut(self) -> Self:
        """Return the answer, to be broken off in the middle of its body."""
        return replace(self, cut_at=len(self.body) // 2)

    @property
    def raw(self) -> bytes:
        """What goes over the line."""
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode() + _END + self.body[: self.cut_at]


def _kept(name: str) -> bool:
    return name.lower() not in _OWN_HEADERS


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines)
    return {name.lower(): value.strip() for name, _, value in pairs}


def _action(headers: Mapping[str, str], body: bytes) -> str:
    """Return AWS's name: of a JSON protocol's header, or of the query protocol's form."""
    if target := headers.get("x-amz-target"):
        return target.rpartition(".")[2]
    return parse_qs(body.decode("latin-1")).get("Action", [""])[0]


def _signed_at(text: str) -> datetime | None:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if text else None


def _message(body: bytes) -> str | None:
    """Return the `type` of the message in a SendMessage's body."""
    if b'"MessageBody"' not in body:
        return None
    try:
        kind = json.loads(json.loads(body)["MessageBody"])["type"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(kind)
