"""Start MiniStack with the corrections the lab needs: `python -m lab.ministack_boot`.

All that is patched inside MiniStack is patched here, for exactly one version. What it is and why:

- SQS looks for messages every 100 ms, so that a blocked receive gets one 66 ms late (median).
  Here a send wakes it: the hop that decides how long a database is held is then only HTTP.
- Queues have a second, shorter way in (`lab.queue_server`), on the port LAB_QUEUE_PORT.
- A hop can be given a latency: `POST /_lab/hop {"hop_ms": 10}`, at any time, `GET` reads it.
- Schedules: time zones, `<aws.scheduler.*>` in the input, a tick of 200 ms (`lab.schedules`).
- Event source mappings look at their queues when something is sent, and else once a second: what
  becomes visible by time alone (a delayed message, a failed one) or comes by EventBridge was read
  up to a second late. Here they look every 50 ms, which is a thousandth of a core. An upload
  reaches its function 7 ms (median) after the PUT, a message delayed by 1 s 16 ms after its time.
- Of one event source mapping no more batches are in flight than there are cores, and two at least
  (the smallest MaximumConcurrency). At AWS each has a CPU of its own; ten Python processes that
  start at once on two cores are all 30 s late, over their timeout, and their messages 2 min.
- S3 refuses overlapping notifications, and those to a queue whose policy lets the bucket not in,
  tells EventBridge whole seconds and shorter sequencers, and spells filters its own way
  (`lab.bucket_events`). Found right, and left alone: the form-encoded key, sequencers in the order
  of the requests, events of removals and of delete markers, the raw key for EventBridge. Missing:
  lifecycle rules are kept and never expire anything.
- Scheduler and EventBridge invoke Lambdas asynchronously with EventInvokeConfig: its retries and
  its on-failure queue. MiniStack has that code and uses it for S3 and SNS alone.

How its Lambdas behave (1.5.33): a worker process per function is kept warm between invocations and
gets a second one for each concurrent call; one that raises or times out is killed, and the next
call starts cold (AWS keeps it after an exception). `Timeout` is enforced by SIGKILL; each
invocation waits in a thread of its own, so that a long one blocks nothing. The worker inherits this
process's environment, which is how it finds the endpoints of EC2 and CloudFront.
"""

# ruff: noqa: SLF001, PLC0415  internals are what this is about, and patched before they are used

import asyncio
import gc
import importlib.metadata
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

from lab import bucket_events, queue_server, schedules

VERSION = "1.5.33"
_RECHECK_S = 0.05
"""Messages also become visible by time alone (visibility timeout, delay), and other services put
theirs into a queue without a send: look this often."""
_EARLY_S = 0.002
"""The loop's timers fire up to a millisecond late: the rest of a hop is waited for in turns."""

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class Hop:
    """Wakes blocked receives when a message becomes receivable, `hop_s` after its send."""

    def __init__(self) -> None:
        self.hop_s = 0.0
        self._sleepers: set[asyncio.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def patch(self, sqs: Any) -> None:
        """Take the place of `asyncio.sleep` in the receive loop and of the send action."""
        send = sqs._act_send_message

        def delayed_send(request: dict[str, Any], url: str) -> dict[str, Any]:
            result: dict[str, Any] = send(request, url)
            for message in reversed(sqs._get_q(request.get("QueueUrl", url))["messages"]):
                if message["id"] == result["MessageId"]:
                    message["visible_at"] += self.hop_s
                    break
            self._wake_after(self.hop_s)
            return result

        sqs._act_send_message = delayed_send  # SendMessageBatch and other services call this one
        sqs._HANDLERS["SendMessage"] = delayed_send
        sqs.asyncio = _Module(asyncio, sleep=self._sleep)

    async def _sleep(self, delay_s: float) -> None:
        """Sleep as asked, but not past the next message."""
        self._loop = loop = asyncio.get_running_loop()
        sleeper = loop.create_future()
        timer = loop.call_later(min(delay_s, _RECHECK_S), _finish, sleeper)
        self._sleepers.add(sleeper)
        try:
            await sleeper
        finally:
            self._sleepers.discard(sleeper)
            timer.cancel()

    def _wake_after(self, delay_s: float) -> None:
        """Wake whoever sleeps when the message has become receivable."""
        if self._loop is None:  # nobody has waited yet
            return
        due = time.time() + delay_s
        early_s = max(0.0, delay_s - _EARLY_S)
        # A send can come from another service's thread.
        if early_s:
            self._loop.call_soon_threadsafe(self._loop.call_later, early_s, self._wake_at, due)
        else:
            self._loop.call_soon_threadsafe(self._wake_at, due)

    def _wake_at(self, due: float) -> None:
        """Wake them at `due` by the clock that says whether a message is visible."""
        if self._loop is not None and time.time() < due:
            self._loop.call_soon(self._wake_at, due)
        else:
            self._wake()

    def _wake(self) -> None:
        for sleeper in tuple(self._sleepers):
            _finish(sleeper)


class Impatient:
    """An event whose waits are short, however long they ask for."""

    def __init__(self, event: threading.Event) -> None:
        self.set, self.clear = event.set, event.clear
        self._event = event

    def wait(self, timeout_s: float) -> bool:
        """Wait, but not longer than a poller should."""
        return self._event.wait(min(timeout_s, _RECHECK_S))


class _Module:
    """A module with a few names replaced, for one of its users alone."""

    def __init__(self, module: ModuleType, **replaced: Any) -> None:
        self._module = module
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _finish(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


def gateway(app: App, hop: Hop, start: Callable[[], Awaitable[object]]) -> App:
    """Return MiniStack's ASGI application with the lab's route; `start` runs with its loop."""

    async def serve(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            started = await start()  # held until the server ends
            await app(scope, receive, send)
            del started
        elif scope.get("path") == "/_lab/hop":
            await _serve_hop(hop, scope["method"], receive, send)
        else:
            await app(scope, receive, send)

    return serve


async def _serve_hop(hop: Hop, method: str, receive: Receive, send: Send) -> None:
    if method == "POST":
        hop.hop_s = float(json.loads((await receive())["body"])["hop_ms"]) / 1000
    body = json.dumps({"hop_ms": hop.hop_s * 1000}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def answer_queues(headers: dict[str, str], body: bytes) -> queue_server.Answer:
    """Answer one request to the short way, for the account and Region of its signature."""
    from ministack.core import responses, router
    from ministack.services import sqs

    responses.set_request_account_id(router.extract_access_key_id(headers))
    responses.set_request_region(router.extract_region(headers))
    answer: queue_server.Answer = await sqs.handle_request("POST", "/", headers, body, {})
    return answer


def invoke_asynchronously(arn: str, payload: str) -> None:
    """Invoke a Lambda as Scheduler and EventBridge do: with the function's EventInvokeConfig."""
    from ministack.services import lambda_svc

    function, config, _ = lambda_svc._get_func_record_for_ref(arn)
    if function and config:
        record = lambda_svc._execution_record_for_config(function, config)
        lambda_svc.invoke_async_with_retry(record, json.loads(payload))


def no_more_than_cores(allowed: Callable[..., int]) -> Callable[..., int]:
    """Return what allows batches in flight, but not more than this machine can run."""
    most = max(2, os.cpu_count() or 2)

    def capped(*arguments: Any) -> int:
        return min(allowed(*arguments), most)

    return capped


def main() -> None:
    """Patch, then serve until a signal. The environment configures MiniStack (`lab.emulator`)."""
    installed = importlib.metadata.version("ministack")
    if installed != VERSION:
        sys.exit(f"lab.ministack_boot patches MiniStack {VERSION}, but {installed} is installed")

    from ministack import app
    from ministack.core import iam_evaluator
    from ministack.services import eventbridge, lambda_svc, s3, scheduler, sqs

    hop = Hop()
    hop.patch(sqs)
    port = int(os.environ["LAB_QUEUE_PORT"])
    app.app = gateway(app.app, hop, lambda: queue_server.listen(port, answer_queues))
    lambda_svc._esm_wake = Impatient(lambda_svc._esm_wake)
    lambda_svc._sqs_esm_concurrency = no_more_than_cores(lambda_svc._sqs_esm_concurrency)
    bucket_events.patch(s3, eventbridge)
    bucket_events.patch_queues(sqs, iam_evaluator)
    eventbridge._dispatch_to_lambda = invoke_asynchronously
    scheduler._tick_schedules = schedules.Ticker(scheduler, eventbridge).tick
    scheduler._SCHEDULE_TICK_INTERVAL = 0.2
    gc.freeze()  # what start-up made is kept anyway: a collection need not look at it
    app.main()


if __name__ == "__main__":
    main()
