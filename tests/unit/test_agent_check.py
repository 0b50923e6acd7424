"""`--check` prints what the pre-flight found, to a person at a terminal."""

import io
from pathlib import Path

import pytest

from holdstill_agent import __main__ as program
from holdstill_agent.config import load
from holdstill_agent.preflight import Preflight
from holdstill_protocol.messages import Check

EXAMPLE = Path(__file__).parents[2] / "agent" / "agent.example.toml"


class OddlyNamed(Preflight):
    """A host with a mount whose name is no UTF-8."""

    def run(self) -> None:
        """Find it."""
        self.checks = [Check("mounts", passed=True, detail="/mnt/caf\udce9")]


def test_a_name_that_is_no_text_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not end the check that would tell what is wrong."""
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr(program, "Preflight", OddlyNamed)
    assert program.check(load(EXAMPLE)) == 0
    terminal.seek(0)
    assert terminal.read() == "ok      mounts: /mnt/caf\\udce9\n"
