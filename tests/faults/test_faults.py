"""Whatever fails around a backup, writers go on, nothing is left, and no more is told than is true.

Each fault once, the killing ones ten times at random moments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.faults.catalogue import faults
from lab.faults.command import KILLS
from lab.faults.errors import NotHereError

if TYPE_CHECKING:
    from lab.faults.fault import Fault
    from lab.faults.suite import Suite

pytestmark = [pytest.mark.root, pytest.mark.emulator, pytest.mark.slow]


def _on(server: str) -> list[object]:
    return [pytest.param(fault, id=fault.name) for fault in faults() if server in fault.servers]


@pytest.mark.parametrize("fault", _on("mariadb"))
def test_host_is_safe_on_mariadb(suite_on_mariadb: Suite, fault: Fault) -> None:
    """What is promised of a fault holds on a host with MariaDB."""
    _try(suite_on_mariadb, fault)


@pytest.mark.parametrize("fault", _on("mysql"))
def test_host_is_safe_on_mysql(suite_on_mysql: Suite, fault: Fault) -> None:
    """What is promised of a fault holds on a host with MySQL."""
    _try(suite_on_mysql, fault)


def _try(suite: Suite, fault: Fault) -> None:
    for number in range(1, 1 + (KILLS if fault.killing else 1)):
        try:
            aftermath = suite.trial(fault, number)
        except NotHereError as error:
            pytest.skip(str(error))
        assert aftermath.as_promised, f"seed {suite.seed}, trial {number}: {aftermath}"
