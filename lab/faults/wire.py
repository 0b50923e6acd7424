"""The line between one party and one AWS service, on which a test may do what networks do.

wire = Wire("http://127.0.0.1:4566")
rule = wire.meet("SendMessage", fates.held, message="thaw")
rule.await_met()                # the thaw is at the wire, and waits
wire.calm()                     # it goes on, and all is as before
"""

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from lab.faults.errors import MomentMissedError
from lab.faults.exchange import Answer, Call

_CONNECT_WITHIN_S: Final = 5.0


class CallerGoneError(Exception):
    """Whoever asked has hung up: what it asked for is not to be done, or not to be told."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A call on its way. `forward` sends it on and returns the answer; again is another call.

    `later` sends it on without a caller who waits for the answer. A fate sets `met` when it has
    done to the call what it does. `calmed` is set when the wire is to be as before: whoever waits
    here waits no longer.
    """

    call: Call
    forward: Callable[[], Answer]
    later: Callable[[], None]
    met: threading.Event
    calmed: threading.Event


Fate = Callable[[Passage], Answer]
"""What becomes of a call; CallerGoneError ends its connection without an answer."""


@dataclass(slots=True)
class Rule:
    """A fate for some calls; `times` is how many it still meets, None for all."""

    action: str
    fate: Fate
    message: str | None
    times: int | None
    dry_run: bool
    met: threading.Event = field(default_factory=threading.Event)

    def takes(self, call: Call) -> bool:
        """Return whether the call is one of them."""
        wanted = (call.action, call.dry_run) == (self.action, self.dry_run)
        return wanted and self.message in (None, call.message) and self.times != 0

    def await_met(self, within_s: float = 10.0) -> None:
        """Wait until its fate has been done to a call; raise MomentMissedError."""
        if not self.met.wait(within_s):
            raise MomentMissedError(f"no {self.action} {self.message or ''} in {within_s:g} s")


class Wire:
    """A proxy on 127.0.0.1, transparent until told otherwise. A thread for each connection.

    As AWS does, it refuses what is signed by a clock that is five minutes wrong.
    """

    def __init__(self, upstream: str) -> None:
        place = urlsplit(upstream)
        self._upstream = (place.hostname or "", place.port or 80)
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._spoiled: Answer | None = None
        self._lag_s = 0.0
        self._calmed = threading.Event()
        self._open: set[socket.socket] = set()
        self._server: socket.socket | None = None
        self._port = 0
        self.up()

    @property
    def url(self) -> str:
        """What to give to a client as its endpoint."""
        return f"http://127.0.0.1:{self._port}"

    # --- the weather

    def down(self) -> None:
        """Refuse connections, and break those that there are."""
        with self._lock:
            if self._server:
                with contextlib.suppress(OSError):
                    self._server.shutdown(socket.SHUT_RDWR)  # wakes its accept
                self._server.close()
                self._server = None
            for line in self._open:
                with contextlib.suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)

    def up(self) -> None:
        """Accept connections, at the same port as before."""
        with self._lock:
            if self._server:
                return
            self._server = socket.create_server(("127.0.0.1", self._port), backlog=64)
            self._port = self._server.getsockname()[1]
            threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def slow(self, lag_s: float) -> None:
        """Let every call take so much longer; also the answer of one that is on its way."""
        self._lag_s = lag_s

    def spoil(self, answer: Answer) -> None:
        """Answer every call so, without a word to the service; also those on their way."""
        self._spoiled = answer

    def meet(
        self,
        action: str,
        fate: Fate,
        *,
        message: str | None = None,
        times: int | None = 1,
        dry_run: bool = False,
    ) -> Rule:
        """Let the next calls of this action, or sends of this type of message, meet a fate."""
        rule = Rule(action, fate, message, times, dry_run)
        with self._lock:
            self._rules.append(rule)
        return rule

    def calm(self) -> None:
        """Be transparent again, and let go of whatever waits."""
        with self._lock:
            self._rules.clear()
            calmed, self._calmed = self._calmed, threading.Event()
        self._spoiled, self._lag_s = None, 0.0
        calmed.set()
        self.up()

    def close(self) -> None:
        """End it."""
        self.calm()
        self.down()

    # --- the line

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                caller, _ = server.accept()
            except OSError:  # down
                return
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        line = _Line(caller, self._upstream)
        with self._lock:
            self._open.add(caller)
        try:
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (call := Call.read(caller)) is not None:
                answer = self._answer(line, call)
                caller.sendall(answer.raw)
                if answer.cut_at is not None:
                    return
        except (OSError, CallerGoneError):
            return
        finally:
            with self._lock:
                self._open.discard(caller)
            line.close()

    def _answer(self, line: "_Line", call: Call) -> Answer:
        calmed = self._calmed
        if refusal := call.stale():
            return refusal
        if self._spoiled:
            return self._spoiled
        if self._lag_s:
            calmed.wait(self._lag_s)
        if rule := self._rule(call):
            return rule.fate(
                Passage(
                    call,
                    forward=lambda: line.forward(call),
                    later=lambda: _send_later(self._upstream, call),
                    met=rule.met,
                    calmed=calmed,
                )
            )
        lag_s = self._lag_s
        answer = line.forward(call)
        if self._spoiled:
            return self._spoiled
        if self._lag_s and not lag_s:  # it became slow while this call was on its way
            calmed.wait(self._lag_s)
        return answer

    def _rule(self, call: Call) -> Rule | None:
        with self._lock:
            for rule in self._rules:
                if rule.takes(call):
                    rule.times = None if rule.times is None else rule.times - 1
                    return rule
        return None


class _Line:
    """A caller's connection, and the one to the service that goes with it."""

    def __init__(self, caller: socket.socket, upstream: tuple[str, int]) -> None:
        self._caller = caller
        self._place = upstream
        self._service: socket.socket | None = None

    def forward(self, call: Call) -> Answer:
        """Send a call on and return its answer; a caller that hangs up meanwhile is forgotten.

        As at AWS: a message must not go into the half-open connection of a killed agent.
        """
        if _readable(self._caller):
            raise CallerGoneError
        service = self._connected()
        service.sendall(call.raw)
        ready, _, _ = select.select([self._caller, service], (), ())
        if service not in ready:
            raise CallerGoneError
        return Answer.read(service)

    def _connected(self) -> socket.socket:
        if self._service and _readable(self._service):  # it has closed an idle connection
            self._service.close()
            self._service = None
        if self._service is None:
            self._service = _connect(self._place)
        return self._service

    def close(self) -> None:
        """Hang up on both sides."""
        self._caller.close()
        if self._service:
            self._service.close()


def _send_later(place: tuple[str, int], call: Call) -> None:
    with contextlib.suppress(OSError), _connect(place) as service:
        service.sendall(call.raw)
        Answer.read(service)


def _connect(place: tuple[str, int]) -> socket.socket:
    service = socket.create_connection(place, _CONNECT_WITHIN_S)
    service.settimeout(None)
    service.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return service


def _readable(line: socket.socket) -> bool:
    ready, _, _ = select.select([line], (), (), 0)
    return bool(ready)
