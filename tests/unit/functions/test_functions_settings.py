"""The functions' environment."""

import pytest

from functions.domain.errors import SettingsError
from functions.settings import BackupSettings, SweepSettings

ENVIRONMENT = {
    "HOLDSTILL_TABLE": "holdstill",
    "POWERTOOLS_SERVICE_NAME": "holdstill-backup",
    "POWERTOOLS_METRICS_NAMESPACE": "Holdstill",
    "HOLDSTILL_SNAPSHOT_TIMEOUT_S": "8",
}


def test_the_environment_that_the_stacks_give_is_understood() -> None:
    """Both functions know table and metrics; the backup knows how long its call may take."""
    common = ("holdstill", "holdstill-backup", "Holdstill")
    assert BackupSettings.from_environment(ENVIRONMENT) == BackupSettings(*common, 8)
    assert SweepSettings.from_environment(ENVIRONMENT) == SweepSettings(*common)


def test_every_fault_of_the_environment_is_named_at_once() -> None:
    """An empty environment lacks everything, and the error says so."""
    with pytest.raises(SettingsError) as caught:
        BackupSettings.from_environment({})
    assert [fault.split()[0] for fault in caught.value.faults] == list(ENVIRONMENT)
    with pytest.raises(SettingsError) as caught:
        SweepSettings.from_environment({})
    assert [fault.split()[0] for fault in caught.value.faults] == list(ENVIRONMENT)[:3]


@pytest.mark.parametrize("seconds", ["0", "61", "nan", "inf", "8s", "-8"])
def test_a_timeout_that_no_freeze_should_last_is_refused(seconds: str) -> None:
    """The timeout is 1 to 60 seconds, and a number."""
    with pytest.raises(SettingsError, match="must be 1 to 60 seconds, like 8"):
        BackupSettings.from_environment(ENVIRONMENT | {"HOLDSTILL_SNAPSHOT_TIMEOUT_S": seconds})
