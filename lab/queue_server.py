"""A short way to MiniStack's queues: HTTP without the emulator's general machinery.

A frozen database waits for two messages. Through hypercorn and MiniStack's routing each request
costs 1-2 ms of Python before the queue is reached; here it is a tenth, the same queues behind it.
Whoever hangs up while waiting is forgotten, as at AWS: a message must not vanish into the half-open
connection of an agent that was killed.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus

Headers = dict[str, str]
Answer = tuple[int, Headers, bytes]
Serve = Callable[[Headers, bytes], Awaitable[Answer]]

_log = logging.getLogger("lab.queues")
_END = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One kept-open connection of an SDK: POST, Content-Length, one request at a time."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._read = b""
        self._busy: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; asyncio has set TCP_NODELAY."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  what create_server gives
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a caller that is gone, before a message is taken for it."""
        del exc
        if self._busy:
            self._busy.cancel()

    def data_received(self, data: bytes) -> None:
        """Serve a request once it is complete."""
        self._read += data
        head, end, body = self._read.partition(_END)
        if self._busy or not end:
            return
        headers = _headers(head)
        length = int(headers.get("content-length", 0))
        if len(body) < length:
            return
        self._read = body[length:]
        self._busy = asyncio.get_running_loop().create_task(self._answer(headers, body[:length]))

    async def _answer(self, headers: Headers, body: bytes) -> None:
        try:
            status, extra, content = await self._serve(headers, body)
        except Exception:  # noqa: BLE001  a bug must be an answer, not a silence
            _log.exception("queue_request_failed body=%s", body)
            status, extra = HTTPStatus.INTERNAL_SERVER_ERROR, {"x-amzn-errortype": "InternalError"}
            content = json.dumps({"__type": "InternalError"}).encode()
        head = "".join(f"{name}: {value}\r\n" for name, value in extra.items())
        # The agent measures its clock against the Date of SQS's answers.
        self._transport.write(
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{head}"
            f"date: {formatdate(usegmt=True)}\r\ncontent-length: {len(content)}\r\n\r\n".encode()
            + content
        )
        self._busy = None
        if self._read:
            self.data_received(b"")


async def listen(port: int, serve: Serve) -> asyncio.Server:
    """Serve queues on 127.0.0.1."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Connection(serve), "127.0.0.1", port)


def _headers(head: bytes) -> Headers:
    headers = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return headers
