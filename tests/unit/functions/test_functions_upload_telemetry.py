"""The uploads' metrics, as CloudWatch reads them in the log lines."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from functions.adapters.upload_telemetry import EmfUploadMeasures

MEASURES = EmfUploadMeasures("holdstill-invalidate", "Holdstill")


@pytest.mark.parametrize(
    ("measure", "of", "unit", "measured"),
    [
        (
            lambda: MEASURES.collected(3, 2, 1),
            {},
            "Count",
            {"ChangesCollected": 3, "ChangesRepeated": 2, "EventsIgnored": 1},
        ),
        (
            lambda: MEASURES.called("E1", "made", 40, 2),
            {"distribution": "E1"},
            "Count",
            {"CallsMade": 1, "ExactPaths": 40, "Wildcards": 2},
        ),
        (
            lambda: MEASURES.called("E1", "bad-paths", 40, 2),
            {"distribution": "E1"},
            "Count",
            {"CallsBadPaths": 1},
        ),
        (
            lambda: MEASURES.oldest_waiting("E1", 0),
            {"distribution": "E1"},
            "Seconds",
            {"OldestWaiting": 0},
        ),
        (
            lambda: MEASURES.live("static", 1.5, 22.5),
            {"site": "static"},
            "Seconds",
            {"UploadToRequest": 1.5, "UploadToLive": 22.5},
        ),
        (
            lambda: MEASURES.spent("static", 1.25, 0.5),
            {"site": "static"},
            "None",
            {"SpentUsd": 1.25, "SpentShareOfCap": 0.5},
        ),
        (
            lambda: MEASURES.spent("static", 1.25, None),
            {"site": "static"},
            "None",
            {"SpentUsd": 1.25},
        ),
        (
            lambda: MEASURES.set_aside("E1", 1),
            {"distribution": "E1"},
            "Count",
            {"PathsSetAside": 1},
        ),
    ],
)
def test_a_measure_is_one_line_of_emf(
    measure: Callable[[], None],
    of: dict[str, str],
    unit: str,
    measured: dict[str, float],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the service and what it is of, and never the dimensions of the one before."""
    measure()
    (line,) = capsys.readouterr().out.splitlines()
    told: dict[str, Any] = json.loads(line)
    (metrics,) = told["_aws"]["CloudWatchMetrics"]
    dimensions = {"service": "holdstill-invalidate", **of}
    assert metrics["Namespace"] == "Holdstill"
    assert [set(names) for names in metrics["Dimensions"]] == [set(dimensions)]
    assert {name: told[name] for name in dimensions} == dimensions
    assert {metric["Name"]: metric["Unit"] for metric in metrics["Metrics"]} == dict.fromkeys(
        measured, unit
    )
    assert {name: told[name] for name in measured} == {
        name: [value] for name, value in measured.items()
    }
