"""What is undone at a run's end: it delays no reply, and what arrives meanwhile is taken."""

import time

from holdstill_protocol.host_model import Shutdown
from holdstill_protocol.messages import (
    Freeze,
    Frozen,
    Prepare,
    Prepared,
    RefusalCode,
    Refused,
    Thaw,
    Thawed,
)
from tests.unit.loop.noted_loop import Rig, eventually

NEXT = "recipes-db.20300101T000000Z.2"


def test_hanging_freezer_delays_no_reply_and_loses_no_command(rig: Rig) -> None:
    """The unlock is told before its guard is waited for; what comes meanwhile is taken."""
    rig.command(Prepare)
    rig.reply()
    rig.hold.tidied.clear()
    rig.command(Freeze)
    assert isinstance(rig.reply(), Frozen), "nobody is waited for while all is held"
    rig.command(Thaw)
    assert isinstance(rig.reply(), Thawed)
    assert rig.hold.tidying.wait(3)
    deleted = len(rig.deleted)
    rig.command(Prepare, NEXT)
    taken = eventually(lambda: len(rig.deleted) > deleted)
    rig.hold.tidied.set()
    assert taken, "SQS would show it again"
    assert isinstance(rig.reply(), Prepared)


def test_what_is_owed_is_tried_again_before_the_next_run(rig: Rig) -> None:
    """What waits for a later time to be undone need not wait any longer: its run is over."""
    rig.command(Thaw)
    rig.reply()
    assert not rig.hold.hurried
    rig.command(Prepare, NEXT)
    assert isinstance(rig.reply(), Prepared)
    assert rig.hold.hurried


def test_hook_at_the_end_delays_no_reply_and_loses_no_command(rig: Rig) -> None:
    """The thaw is told before it; what comes meanwhile is taken, and answered after it."""
    rig.freeze()
    rig.hold.owing = True
    rig.command(Thaw)
    assert isinstance(rig.reply(), Thawed)
    assert rig.hold.paying.wait(3)
    deleted = len(rig.deleted)
    rig.command(Prepare, NEXT)
    assert eventually(lambda: len(rig.deleted) == deleted + 1), "SQS would show it again"
    rig.loop.deliver(Shutdown())
    time.sleep(0.1)
    rig.hold.paid.set()
    refused = rig.reply()
    assert isinstance(refused, Refused)
    assert (refused.run_id[-1], refused.code) == ("2", RefusalCode.SHUTDOWN)
    rig.thread.join(3)
    assert "after-unlock" in rig.events()
