"""Whatever fails around a backup, writers go on, nothing is left, and no more is told than is true.

Each fault once, the killing ones ten times at random moments, on a host with MySQL.
"""

import pytest

from lab.faults.catalogue import faults
from lab.faults.fault import Fault
from lab.faults.suite import Suite
from tests.faults.trying import try_as_promised

pytestmark = [pytest.mark.root, pytest.mark.emulator, pytest.mark.slow]

FAULTS = [fault for fault in faults() if "mysql" in fault.servers]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_host_is_safe(suite_on_mysql: Suite, fault: Fault) -> None:
    """What is promised of a fault holds."""
    try_as_promised(suite_on_mysql, fault)
