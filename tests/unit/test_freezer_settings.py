"""What the freezer reads of agent.toml, and what of it a recovery needs."""

from pathlib import Path

import pytest

from holdstill_freezer.errors import BadConfigError, FreezerError
from holdstill_freezer.settings import read_run_dir, read_settings


@pytest.mark.parametrize(
    "fault", ["mounts = 1", "[freeze]\nbudget_s = 0", "[freeze]\nclient_user = 1"]
)
def test_fault_elsewhere_keeps_no_recovery(tmp_path: Path, fault: str) -> None:
    """Where the marker is can be read of a file by which nothing would be frozen."""
    path = tmp_path / "agent.toml"
    freeze = "" if "[freeze]" in fault else "[freeze]\n"
    path.write_text(f'{fault}\n{freeze}run_dir = "/run/elsewhere"\n')
    with pytest.raises(BadConfigError):
        read_settings(path)
    assert read_run_dir(path) == "/run/elsewhere"


def test_recovery_trusts_no_file_of_others(tmp_path: Path) -> None:
    """Who can write the file could lead the recovery to a marker of his own."""
    path = tmp_path / "agent.toml"
    path.write_text("")
    path.chmod(0o666)
    with pytest.raises(FreezerError, match="writable by others"):
        read_run_dir(path)
