"""CloudFront as its callers see it: the account with its distributions, budget, faults, counts."""

import logging
import secrets
import string
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from lab.edge import api, refusals
from lab.edge.api import Answer, Call
from lab.edge.budget import CallBudget
from lab.edge.controls import Controls, Fault
from lab.edge.distribution import Distribution
from lab.edge.invalidations import Invalidations, Moment
from lab.edge.refusals import RefusedError
from lab.edge.viewers import Viewers

_log = logging.getLogger("lab.edge")


_COUNTED = ("calls", "refused", "faults")
"""Calls by action, refusals by code, and what was injected by its name: that is no refusal."""
_FAILURES = {
    Fault.THROTTLE: refusals.throttled,
    Fault.TOO_MANY: refusals.too_many,
    Fault.UNAVAILABLE: refusals.unavailable,
    Fault.UNAVAILABLE_AFTER: refusals.unavailable,
}
"""What the caller gets; of the others nothing."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A distribution with all that belongs to it."""

    viewers: Viewers
    changed_at: datetime
    invalidations: Invalidations = field(default_factory=Invalidations)


class CloudFront:
    """Answers the API's calls, one at a time, but for the time that latency takes."""

    def __init__(self) -> None:
        self.controls = Controls()
        self._deployed: dict[str, Deployed] = {}
        self._counts: dict[str, Counter[str]] = {kind: Counter() for kind in _COUNTED}
        self._budget = CallBudget()
        self._lock = threading.Lock()

    def answer(self, method: str, target: str, body: bytes) -> Answer | None:
        """Answer one call; None means never, because of a fault that hangs."""
        began = time.perf_counter()
        with self._lock:
            fault, answer = self._take(method, target, body)
            latency_ms = self.controls.latency_ms
        _log.info(
            "answered call=%s %s status=%s fault=%s took_ms=%.2f latency_ms=%g",
            method,
            target,
            answer.status if answer else None,
            fault,
            (time.perf_counter() - began) * 1000,
            latency_ms,
        )
        time.sleep(latency_ms / 1000)
        return answer

    def deploy(self, distribution: Distribution) -> Viewers:
        """Put a distribution into service, anew where there is one of its id; return its edge."""
        viewers = Viewers(distribution)
        with self._lock:
            self._deployed[distribution.id] = Deployed(viewers, datetime.now(UTC))
        return viewers

    def change(self, changes: dict[str, Any]) -> None:
        """Change settings. Raise ValueError for an unknown one."""
        with self._lock:
            self.controls = self.controls.changed(changes)

    def reset(self) -> None:
        """Forget invalidations, entries, counts, spent calls and settings; distributions stay."""
        with self._lock:
            self.controls = Controls()
            self._counts = {kind: Counter() for kind in _COUNTED}
            self._budget = CallBudget()
            for name, one in self._deployed.items():
                one.viewers.empty()
                self._deployed[name] = Deployed(one.viewers, one.changed_at)

    def state(self) -> dict[str, Any]:
        """Return the settings, what was counted, and each distribution's load and cache."""
        with self._lock:
            now_s = time.monotonic()
            return {
                "controls": asdict(self.controls),
                **{kind: dict(counted) for kind, counted in self._counts.items()},
                "distributions": {
                    name: {
                        **one.viewers.state(now_s),
                        "invalidations": len(one.invalidations.all),
                        "in_progress": asdict(one.invalidations.in_progress(now_s)),
                        "highest_in_progress": asdict(one.invalidations.highest),
                        "paths": asdict(one.invalidations.total),
                    }
                    for name, one in self._deployed.items()
                },
            }

    def _take(self, method: str, target: str, body: bytes) -> tuple[Fault | None, Answer | None]:
        fault = None
        try:
            call = api.call(method, target, body)
            self._counts["calls"][call.action] += 1
            fault = self._take_fault(call.action)
            if fault is None or fault.comes_after_the_deed:
                self._spend(call)
                answer = self._do(call)
        except RefusedError as refused:
            self._counts["refused"][refused.code] += 1
            return None, api.refusal(refused)
        if fault is None:
            return None, answer
        self._counts["faults"][fault] += 1
        failure = _FAILURES.get(fault)
        return fault, api.refusal(failure()) if failure else None

    def _take_fault(self, action: str) -> Fault | None:
        fault = self.controls.fault
        if fault is None or action != self.controls.fault_action:
            return None
        self.controls = self.controls.after_a_hit()
        return fault

    def _spend(self, call: Call) -> None:
        controls = self.controls
        free = call.action != "CreateInvalidation" and not controls.reads_count
        if not controls.throttling or free:
            return
        if not self._budget.take(
            time.monotonic(), calls_per_s=controls.calls_per_s, burst=controls.burst
        ):
            raise refusals.throttled()

    def _do(self, call: Call) -> Answer:
        one = self._find(call.distribution_id)
        now_s = time.monotonic()
        match call.action:
            case "CreateInvalidation":
                return self._create(one, call, now_s)
            case "GetInvalidation":
                return api.invalidation(one.invalidations.find(call.invalidation_id), now_s)
            case "ListInvalidations":
                marker, size = api.page_of(call.query)
                return api.page(marker, size, one.invalidations.page(marker, size), now_s)
            case "GetDistribution":
                running = one.invalidations.running(now_s)
                domain = f"{call.distribution_id.lower()}.cloudfront.net"
                return api.distribution(one.viewers.distribution, domain, one.changed_at, running)
            case _:
                return api.distribution_config(one.viewers.distribution)

    def _create(self, one: Deployed, call: Call, now_s: float) -> Answer:
        made, new = one.invalidations.create(
            api.batch(call.body), _new_id(), Moment(now_s, datetime.now(UTC)), self.controls
        )
        if new:
            one.viewers.invalidate(made)
        return api.created(made, call.distribution_id, now_s)

    def _find(self, distribution_id: str) -> Deployed:
        try:
            return self._deployed[distribution_id]
        except KeyError:
            raise refusals.not_found("Distribution") from None


def _new_id() -> str:
    return "I" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(13))
