"""What is the agent's and the freezer's own is on no mount that they freeze."""

from pathlib import Path

import pytest

from holdstill_agent.errors import CheckFailedError
from holdstill_agent.mountinfo import Mounts
from holdstill_agent.preflight.own import require_own_files_elsewhere, require_room
from tests.unit.preflight.told_host import DATA, ROOT, configured


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("state_dir", "/var/lib/mysql/holdstill"),
        ("run_dir", "/var/lib/mysql"),
        ("freezer_socket", "/var/lib/mysql/freezer.sock"),
        ("path", Path("/var/lib/mysql/agent.toml")),
        ("path", Path("/srv/again/agent.toml")),  # a bind mount: the same filesystem
    ],
)
def test_own_file_on_a_mount_is_refused(key: str, place: object) -> None:
    """The agent and the freezer must not wait for the thaw that is theirs to make."""
    bind = "3 1 259:3 /part /srv/again rw - xfs /dev/nvme1n1 rw"
    mounted = Mounts(f"{ROOT}\n{DATA}\n{bind}")
    assert require_own_files_elsewhere(configured(), mounted)
    with pytest.raises(CheckFailedError, match=f"{place} is on /var/lib/mysql.*move it"):
        require_own_files_elsewhere(configured(**{key: place}), mounted)


def test_temporary_files_on_a_mount_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """TMPDIR counts: whatever uses a temporary file while frozen would hang."""
    monkeypatch.setenv("TMPDIR", "/var/lib/mysql/tmp")
    with pytest.raises(CheckFailedError, match=r"TMPDIR\) /var/lib/mysql/tmp is on /var/lib/mysql"):
        require_own_files_elsewhere(configured(), Mounts(f"{ROOT}\n{DATA}"))


def test_state_needs_a_directory_of_its_own(tmp_path: Path) -> None:
    """Missing, it is to be made by whoever installs: a check that makes it would own it."""
    config = configured(state_dir=str(tmp_path / "state"), run_dir=str(tmp_path / "not" / "yet"))
    with pytest.raises(CheckFailedError, match=r"is no directory: make it.*install -d"):
        require_room(config)
    (tmp_path / "state").mkdir()
    assert str(tmp_path) in require_room(config)
