"""What the units leave open, as systemd itself counts it."""

import pytest

from lab.systemd import SystemdHost

pytestmark = pytest.mark.root

_UNITS = "/etc/systemd/system"


@pytest.mark.parametrize(
    ("unit", "at_most"), [("holdstill-freezer@.service", 15), ("holdstill-agent.service", 13)]
)
def test_exposure_is_small(host: SystemdHost, unit: str, at_most: int) -> None:
    """`systemd-analyze security`, in tenths: the freezer at most 1.5, the agent at most 1.3."""
    argv = ("systemd-analyze", "security", "--offline=true", "--no-pager")
    host.container.run(*argv, f"--threshold={at_most}", f"{_UNITS}/{unit}")


def test_units_are_understood(host: SystemdHost) -> None:
    """`systemd-analyze verify` has nothing to say: no key is misspelt, every program is there."""
    units = ("holdstill-freezer.socket", "holdstill-freezer@.service", "holdstill-agent.service")
    paths = [f"{_UNITS}/{unit}" for unit in units]
    verified = host.container.try_run("systemd-analyze", "verify", *paths)
    assert verified.returncode == 0
    assert verified.stderr == ""
