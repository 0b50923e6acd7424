"""Each mount is one that is seen at its path, and the freezer will freeze the same ones."""

from pathlib import Path

import pytest

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.errors import CheckFailedError
from holdstill_agent.mountinfo import Mounts
from holdstill_agent.preflight import Preflight
from holdstill_agent.preflight.mounts import require_mounts, require_same_mounts
from holdstill_protocol.messages import Lock
from tests.unit.preflight.told_host import DATA, ROOT, configured

ABOVE = "3 1 7:1 / /var/lib rw - xfs /dev/loop1 rw"
AUTOMOUNT = "4 1 0:50 / /var/lib/mysql rw - autofs systemd-1 rw"
LOGS = "5 1 259:4 / /var/log/mysql rw - xfs /dev/nvme2n1 rw"


@pytest.mark.parametrize(
    ("mountinfo", "freeze", "told"),
    [
        (ROOT, False, "is no mount point, it is part of /: mount"),
        (f"{ROOT}\n{DATA}\n3 2 7:1 / /var/lib/mysql rw - xfs /dev/loop1 rw", True, "mounted twice"),
        (f"{ROOT}\n{DATA}\n3 2 7:1 / /var/lib/mysql rw - xfs /dev/loop1 rw", False, "loop1 over"),
        (f"{ROOT}\n{DATA}\n{ABOVE}", True, "loop1 was mounted over /var/lib later.*nvme1n1, which"),
        (f"{ROOT}\n{DATA}\n{ABOVE}", False, "is hidden: /dev/loop1 was mounted over /var/lib"),
        (
            f"{ROOT}\n{AUTOMOUNT}",
            True,
            r"is not mounted yet.*look into it as root \(ls /var/lib/my",
        ),
        (f"{ROOT}\n{AUTOMOUNT}", False, "x-systemd.automount"),
    ],
)
def test_unclear_mount_is_refused(mountinfo: str, freeze: bool, told: str) -> None:
    """What is not seen at its path, or not mounted at all, would be another snapshot."""
    with pytest.raises(CheckFailedError, match=told):
        require_mounts(configured(freeze=freeze), Mounts(mountinfo))


def test_mount_is_named_with_what_it_shows() -> None:
    """Mounted again over itself it is the same filesystem, and fine."""
    mounted = Mounts(f"{ROOT}\n{DATA}\n3 2 259:3 / /var/lib/mysql rw - xfs /dev/nvme1n1 rw")
    found = require_mounts(configured(freeze=False), mounted)
    assert found == "/var/lib/mysql is xfs on /dev/nvme1n1"


def test_automounted_filesystem_passes() -> None:
    """An automount point below it is no second filesystem."""
    mounted = Mounts(f"{ROOT}\n{AUTOMOUNT}\n6 4 259:3 / /var/lib/mysql rw - xfs /dev/nvme1n1 rw")
    assert require_mounts(configured(), mounted) == "/var/lib/mysql is xfs on /dev/nvme1n1"


@pytest.mark.parametrize("name", ["\udcff", "\x0b", "\x85", "\u2028"])
def test_odd_mount_points_disturb_nobody(name: str) -> None:
    """Only a newline ends a line of mountinfo: a path is any other bytes."""
    odd = f"2 1 0:9 / /media/{name} rw - none"
    assert Mounts(f"{ROOT}\n{odd}\n").holding(f"/media/{name}/file").device == "0:9"


@pytest.mark.parametrize(
    ("devices", "passes"),
    [
        (("259:3",), False),
        (("259:3", "259:4"), True),
        (("259:4", "259:3"), False),
        (("259:3", "259:5"), False),
        (("259:3", "259:4", "259:5"), False),
    ],
)
def test_freezer_must_freeze_what_the_agent_reports(devices: tuple[str, ...], passes: bool) -> None:
    """Another list in the agent.toml of today would leave a volume of the set unfrozen."""
    config = configured("/var/lib/mysql", "/var/log/mysql")
    mounted = Mounts(f"{ROOT}\n{DATA}\n{LOGS}")
    if passes:
        require_same_mounts(config, mounted, devices)
        return
    with pytest.raises(CheckFailedError, match=r"/var/log/mysql \(259:4\): restart the agent"):
        require_same_mounts(config, mounted, devices)


def test_only_a_stand_in_may_say_no_device() -> None:
    """It freezes nothing and takes what is no mount point; a freezer that names one freezes it."""
    folder = configured("/home/demo/volume")
    require_same_mounts(folder, Mounts(ROOT), ())
    with pytest.raises(CheckFailedError, match=r"volume \(no mount point\): restart the agent"):
        require_same_mounts(folder, Mounts(ROOT), ("259:3",))
    with pytest.raises(CheckFailedError, match="older release"):
        require_same_mounts(
            configured("/var/lib/mysql", "/home/demo"), Mounts(f"{ROOT}\n{DATA}"), ()
        )


@pytest.mark.parametrize(
    "unseen", [AUTOMOUNT, f"{DATA}\n{ABOVE}"], ids=["automount", "hidden from above"]
)
def test_mount_that_is_not_seen_is_refused_once(unseen: str) -> None:
    """By its own name, with its own advice: to restart the agent would not help."""
    mounted = Mounts(f"{ROOT}\n{unseen}")
    require_same_mounts(configured(), mounted, ("259:3",))
    with pytest.raises(CheckFailedError):
        require_mounts(configured(), mounted)


def test_volumes_of_an_unseen_mount_are_not_looked_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They would be those of what lies below, with an advice that is none."""
    monkeypatch.setattr(Mounts, "now", lambda: Mounts(f"{ROOT}\n{AUTOMOUNT}"))
    config = configured(lock=Lock.NONE, freeze=False, state_dir=str(tmp_path))
    preflight = Preflight(config, monotonic_ms() + 1000, lambda _: True)
    preflight.run()
    assert [one.name for one in preflight.checks if not one.passed] == ["mounts"]
