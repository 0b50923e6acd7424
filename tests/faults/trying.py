"""One fault as the tests try it."""

import pytest

from lab.faults.command import KILLS
from lab.faults.errors import NotHereError
from lab.faults.fault import Fault
from lab.faults.suite import Suite


def try_as_promised(suite: Suite, fault: Fault) -> None:
    """Try it once, a killing one ten times; skip by name where the machine cannot make it."""
    for number in range(1, 1 + (KILLS if fault.killing else 1)):
        try:
            aftermath = suite.trial(fault, number)
        except NotHereError as error:
            pytest.skip(str(error))
        assert aftermath.as_promised, f"seed {suite.seed}, trial {number}: {aftermath}"
