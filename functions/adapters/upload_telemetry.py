"""The metrics of the uploads by Powertools, embedded in log lines (EMF)."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit


@dataclass(frozen=True, slots=True)
class EmfUploadMeasures:
    """Every metric has the dimension `service` (Powertools adds it); most have one more.

    Of a site: UploadToRequest and UploadToLive (until the invalidation was made, and was
    completed), SpentUsd, and SpentShareOfCap (1.0 is all of it) where it has a cap. Of a
    distribution: OldestWaiting; PathsSetAside; a count of calls for each outcome, as CallsMade or
    CallsThrottled; and ExactPaths and Wildcards of those that were made. Of neither:
    ChangesCollected, ChangesRepeated, EventsIgnored. Times are in seconds.
    """

    service: str
    namespace: str

    def collected(self, changes: int, repeated: int, ignored: int) -> None:
        """Count what a batch of events came to."""
        counts = {
            "ChangesCollected": changes,
            "ChangesRepeated": repeated,
            "EventsIgnored": ignored,
        }
        self._emit({}, MetricUnit.Count, counts)

    def called(self, distribution: str, outcome: str, exact: int, wildcards: int) -> None:
        """Count a call of CreateInvalidation by its outcome."""
        counts = {f"Calls{outcome.title().replace('-', '')}": 1}
        if outcome == "made":
            counts |= {"ExactPaths": exact, "Wildcards": wildcards}
        self._emit({"distribution": distribution}, MetricUnit.Count, counts)

    def oldest_waiting(self, distribution: str, age_s: float) -> None:
        """Measure the oldest upload that waits."""
        measured = {"OldestWaiting": age_s}
        self._emit({"distribution": distribution}, MetricUnit.Seconds, measured)

    def live(self, site: str, requested_s: float, live_s: float) -> None:
        """Measure an upload."""
        measured = {"UploadToRequest": requested_s, "UploadToLive": live_s}
        self._emit({"site": site}, MetricUnit.Seconds, measured)

    def spent(self, site: str, usd: float, share_of_cap: float | None) -> None:
        """Measure the month's fee."""
        measured = {"SpentUsd": usd}
        if share_of_cap is not None:
            measured["SpentShareOfCap"] = share_of_cap
        self._emit({"site": site}, MetricUnit.NoUnit, measured)

    def set_aside(self, distribution: str, paths: int) -> None:
        """Count paths that CloudFront refused for good."""
        self._emit({"distribution": distribution}, MetricUnit.Count, {"PathsSetAside": paths})

    def _emit(
        self, dimensions: Mapping[str, str], unit: MetricUnit, measured: Mapping[str, float]
    ) -> None:
        metrics = Metrics(service=self.service, namespace=self.namespace)
        for dimension, name in dimensions.items():
            metrics.add_dimension(dimension, name)
        for metric, value in measured.items():
            metrics.add_metric(metric, unit, value)
        metrics.flush_metrics()
