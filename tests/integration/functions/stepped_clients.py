"""MiniStack's DynamoDB and SQS in this process, and clients of them that may die at every call.

Of a call to the lab's emulator most is HTTP, and waiting for a core: a hundred whole runs, one for
each crash, take two minutes there and half a minute here.
"""

import json
from asyncio import Runner
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, Self

from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.session import Session
from ministack.services import dynamodb, sqs

from functions.adapters.clients import refuse_strangers
from lab.emulator import NOWHERE, REGION

_READS: Final = frozenset({"GetItem", "BatchGetItem", "Query"})


class _Body:
    """An answer's, as botocore reads it."""

    def __init__(self, body: str | bytes) -> None:
        self._body = body.encode() if isinstance(body, str) else body

    def stream(self) -> Iterator[bytes]:
        """Yield it."""
        yield self._body


class MiniStack:
    """Both services, as a context manager: empty when it is entered, and when it is left.

    What they hold is in MiniStack's modules, which nothing else in this process uses. No request
    leaves the process.
    """

    def __enter__(self) -> Self:
        self._runner = Runner()
        self.reset()
        return self

    def __exit__(self, *_: object) -> None:
        self.reset()
        self._runner.close()

    def reset(self) -> None:
        """Empty both."""
        dynamodb.reset()
        sqs.reset()

    def client(self, service: str) -> Any:
        """Return a client of one of them."""
        client: Any = Session().create_client(
            service,
            region_name=REGION,
            endpoint_url=NOWHERE,
            config=Config(signature_version=UNSIGNED),
        )
        client.meta.events.register("after-call.*", refuse_strangers)
        handler = {"dynamodb": dynamodb, "sqs": sqs}[service].handle_request
        client.meta.events.register("before-send", partial(self._answer, handler))
        return client

    def _answer(self, handler: Callable[..., Any], request: Any, **_: object) -> AWSResponse:
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        status, answered, body = self._runner.run(handler("POST", "/", headers, request.body, {}))
        return AWSResponse(request.url, status, HTTPHeaders.from_dict(answered), _Body(body))


class SteppedClients:
    """Clients whose every call tells `steps`, and `sent` of each message that SQS has taken.

    `look` is a client that tells nobody. `changes` counts what was written.
    """

    def __init__(self, ministack: MiniStack) -> None:
        self.steps: Callable[[str], None] = lambda _: None
        self.sent: Callable[[Mapping[str, Any]], None] = lambda _: None
        self.changes = 0
        self.look = ministack.client("dynamodb")
        self.dynamodb = ministack.client("dynamodb")
        self.queue = ministack.client("sqs")
        self.url = self.queue.create_queue(QueueName="holdstill-wakes")["QueueUrl"]
        self._body: Mapping[str, Any] = {}
        for client in (self.dynamodb, self.queue):
            client.meta.events.register_last("before-call", self._before)
            client.meta.events.register_last("after-call", self._after)

    def _before(self, model: Any, params: Mapping[str, Any], **_: object) -> None:
        self.steps(f"{model.name} before")
        self._body = json.loads(params["body"])

    def _after(self, model: Any, http_response: Any, **_: object) -> None:
        self.changes += model.name not in _READS
        if model.name == "SendMessage" and http_response.status_code == 200:
            self.sent(self._body)
        self.steps(f"{model.name} after")


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
