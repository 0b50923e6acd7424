"""Logs and metrics by Powertools: structured JSON lines, metrics embedded in them (EMF)."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from functions.domain.runs import AttemptRecord, EndedRun
from functions.domain.verdict import Verdict


@dataclass(frozen=True, slots=True)
class PowertoolsLog:
    """The event's name is the message, its fields are keys beside it."""

    logger: Logger

    def event(self, name: str, /, **fields: object) -> None:
        """Log what happened as it should."""
        self.logger.info(name, extra=fields, stacklevel=3)

    def fault(self, name: str, /, **fields: object) -> None:
        """Log what somebody should look at."""
        self.logger.error(name, extra=fields, stacklevel=3)


@dataclass(frozen=True, slots=True)
class EmfMeasures:
    """Every metric has the dimensions `service` (Powertools adds it) and `target`; times are in ms.

    LockWait: until the lock was granted. FreezeWindow: frozen to thawed. Held: locked to
    unlocked. SnapshotApiTime: the one EC2 call.
    """

    service: str
    namespace: str

    def attempt(self, target: str, record: AttemptRecord) -> None:
        """Measure what an attempt came to."""
        frozen, thawed = record.evidence.frozen, record.evidence.thawed
        measured: dict[str, float] = {}
        if frozen is not None:
            measured["LockWait"] = frozen.lock_wait_ms
        if thawed is not None:
            measured |= {"FreezeWindow": thawed.held_ms, "Held": thawed.locked_ms}
        if record.timings.call_ms is not None:
            measured["SnapshotApiTime"] = record.timings.call_ms
        self._emit(target, MetricUnit.Milliseconds, measured)

    def run(self, run: EndedRun) -> None:
        """Count a run. One as good as a host without lock or freeze allows counts as neither."""
        if run.succeeded and run.verdict is Verdict.CONSISTENT:
            self._emit(run.opened.request.target, MetricUnit.Count, {"RunsConsistent": 1})
        elif not run.succeeded:
            self._emit(run.opened.request.target, MetricUnit.Count, {"RunsInconsistent": 1})

    def abandoned(self, target: str) -> None:
        """Count a run whose conductor died."""
        self._emit(target, MetricUnit.Count, {"RunsAbandoned": 1})

    def _emit(self, target: str, unit: MetricUnit, measured: Mapping[str, float]) -> None:
        if not measured:
            return
        metrics = Metrics(service=self.service, namespace=self.namespace)
        metrics.add_dimension("target", target)
        for name, value in measured.items():
            metrics.add_metric(name, unit, value)
        metrics.flush_metrics()
