"""What is to be undone is known to the next process, whatever ended the last one."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdstill_agent.errors import StateUnwritableError
from holdstill_agent.unfinished import Deed, Undo, Unfinished

RUN = "recipes-db.20300101T000000Z.1"
SOURCES = Path(__file__).parents[2] / "agent" / "src"


def test_nothing_is_pending_at_first(tmp_path: Path) -> None:
    """Also where the directory is missing: there is nothing to undo then."""
    assert Unfinished(str(tmp_path)).pending() == ()
    assert Unfinished(str(tmp_path / "missing")).pending() == ()


def test_begun_deed_is_pending_until_done(tmp_path: Path) -> None:
    """Each deed by itself, for any other process that looks."""
    ours, theirs = Unfinished(str(tmp_path)), Unfinished(str(tmp_path))
    ours.begin(RUN, Undo.AFTER_UNLOCK)
    ours.begin(RUN, Undo.START_REPLICATION, "channel 'orders'")
    assert theirs.pending() == (
        Deed(Undo.AFTER_UNLOCK, RUN),
        Deed(Undo.START_REPLICATION, RUN, "channel 'orders'"),
    )
    ours.done(Undo.AFTER_UNLOCK)
    ours.done(Undo.AFTER_UNLOCK)
    assert [deed.what for deed in theirs.pending()] == [Undo.START_REPLICATION]
    theirs.done(Undo.START_REPLICATION)
    assert ours.pending() == ()
    assert list(tmp_path.iterdir()) == []


def test_killed_process_leaves_its_record(tmp_path: Path) -> None:
    """SIGKILL right after `begin` takes nothing back."""
    program = (
        "import sys, os, signal\n"
        "from holdstill_agent.unfinished import Undo, Unfinished\n"
        "Unfinished(sys.argv[1]).begin(sys.argv[2], Undo.AFTER_UNLOCK)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), RUN],
        env={"PYTHONPATH": str(SOURCES)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert Unfinished(str(tmp_path)).pending() == (Deed(Undo.AFTER_UNLOCK, RUN),)


def test_begin_replaces_what_a_crash_left(tmp_path: Path) -> None:
    """A half-written file of a dead process counts for nothing, and disturbs nobody."""
    (tmp_path / "unfinished-after-unlock.new").write_text("half of a ru")
    unfinished = Unfinished(str(tmp_path))
    assert unfinished.pending() == ()
    unfinished.begin("first", Undo.AFTER_UNLOCK)
    unfinished.begin(RUN, Undo.AFTER_UNLOCK)
    assert unfinished.pending() == (Deed(Undo.AFTER_UNLOCK, RUN),)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"\n\n\n"])
def test_damaged_record_is_still_pending(tmp_path: Path, content: bytes) -> None:
    """A disk that lost the run's name has not undone the deed."""
    (tmp_path / "unfinished-start-replication").write_bytes(content)
    (deed,) = Unfinished(str(tmp_path)).pending()
    assert deed.what is Undo.START_REPLICATION
    assert deed.run_id


def test_no_room_for_the_record_is_an_error(tmp_path: Path) -> None:
    """Whoever cannot record a deed must not do it; the error says where room is needed."""
    missing = tmp_path / "missing"
    with pytest.raises(StateUnwritableError, match=f"{missing}: No such file.*make room"):
        Unfinished(str(missing)).begin(RUN, Undo.AFTER_UNLOCK)


@pytest.mark.root
def test_full_directory_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    """On a filesystem without a free block nothing is recorded, and nothing is half-recorded."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)], check=True)
    try:
        unfinished = Unfinished(str(tmp_path))
        ballast = f"of={tmp_path}/ballast"
        assert (
            subprocess.run(["dd", "if=/dev/zero", ballast, "status=none"], check=False).returncode
            == 1
        )
        with pytest.raises(StateUnwritableError, match="No space left on device; make room"):
            unfinished.begin(RUN, Undo.AFTER_UNLOCK)
        assert unfinished.pending() == ()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
