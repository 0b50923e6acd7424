"""The twins keep the table's laws, so that tests may stand on them."""

import pytest

from tests.laws.table import LeaseLaws, RunLaws
from tests.twins.table import TwinLeases, TwinRuns
from tests.twins.trace import Trace


class TestTwinRuns(RunLaws):
    """Runs in memory."""

    @pytest.fixture
    def runs(self) -> TwinRuns:
        """Return an empty table."""
        return TwinRuns(Trace())


class TestTwinLeases(LeaseLaws):
    """Leases in memory."""

    @pytest.fixture
    def leases(self) -> TwinLeases:
        """Return an empty table."""
        return TwinLeases(Trace())
