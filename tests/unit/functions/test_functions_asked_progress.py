"""Where a row is, by what the table tells."""

from dataclasses import replace
from datetime import timedelta

from functions.domain.asked_progress import Known, Stage
from functions.domain.batch import BatchState
from functions.domain.hand_request import HandRequest, rows_by_hand
from functions.domain.invalidation_record import Aside, Contents, Record
from tests.twins.clock import EPOCH
from tests.twins.deployed import CALLER, SHOP

(ROW,) = rows_by_hand(SHOP, HandRequest(("site/a.png",)), EPOCH, CALLER)
RECORD = Record("E3EXAMPLE", "20261125T180001Z-1", 1, 0, EPOCH)
MADE = replace(
    RECORD,
    state=BatchState.ANSWERED,
    invalidation_id="I1",
    created_at=EPOCH + timedelta(seconds=6),
)
CLEARS_ROW = Contents(("/a.png",), (ROW,))


def stage(
    *batches: tuple[Record, Contents], waits: bool = True, aside: str = "", aside_s: int = 0
) -> Stage:
    """Return the row's stage."""
    known = Known()
    known.unread(record for record, _ in batches)
    for record, contents in batches:
        known.read(record, contents)
    at = EPOCH + timedelta(seconds=aside_s)
    asides = [Aside("E3EXAMPLE", aside, "no", at, ())] if aside else []
    return known.progress(ROW, {ROW.row_id} if waits else set(), asides).stage


def test_a_row_is_where_its_batch_is() -> None:
    """Not where the rows that wait are: they are deleted after the batch is answered."""
    assert stage() is Stage.WAITING
    assert stage((RECORD, CLEARS_ROW)) is Stage.ASKING
    assert stage((MADE, CLEARS_ROW), waits=False) is Stage.IN_PROGRESS
    done = replace(MADE, completed_at=EPOCH)
    assert stage((done, CLEARS_ROW), waits=False) is Stage.COMPLETED


def test_a_refused_batch_has_no_rows() -> None:
    """They wait again, for another."""
    refused = replace(RECORD, state=BatchState.REFUSED)
    assert stage((refused, CLEARS_ROW)) is Stage.WAITING
    again = replace(MADE, batch_id="20261125T180009Z-1")
    assert stage((refused, CLEARS_ROW), (again, CLEARS_ROW)) is Stage.IN_PROGRESS


def test_another_rows_invalidation_may_cover_it() -> None:
    """If it was made late enough, it is as good as its own; else it is not."""
    others = Contents(("/*",), ())
    assert stage((MADE, others), waits=False) is Stage.IN_PROGRESS
    early = replace(MADE, created_at=EPOCH + timedelta(seconds=4))
    assert stage((early, others), waits=False) is Stage.NOWHERE


def test_a_path_set_aside_is_the_end_of_it() -> None:
    """Only its own path, and only since it was asked for, whose time is rounded up."""
    assert stage(waits=False, aside="/a.png") is Stage.SET_ASIDE
    assert stage(aside="/b.png") is Stage.WAITING
    assert stage(waits=False, aside="/a.png", aside_s=-1) is Stage.SET_ASIDE
    assert stage(aside="/a.png", aside_s=-3) is Stage.WAITING
    assert [stage for stage in Stage if stage.last] == [Stage.COMPLETED, Stage.SET_ASIDE]


def test_a_batch_that_is_gone_was_refused() -> None:
    """It is neither open nor answered, and keeps nobody waiting: its row was set aside."""
    known = Known()
    known.unread([RECORD])
    known.read(RECORD, CLEARS_ROW)
    assert known.progress(ROW, {ROW.row_id}, ()).stage is Stage.ASKING
    known.unread([])
    aside = Aside("E3EXAMPLE", "/a.png", "no", EPOCH, ())
    assert known.progress(ROW, (), [aside]).stage is Stage.SET_ASIDE


def test_contents_are_read_once() -> None:
    """They never change, and may be large; what is known of the batch does."""
    known = Known()
    assert known.unread([RECORD]) == [RECORD]
    known.read(RECORD, CLEARS_ROW)
    assert known.unread([MADE]) == []
    assert known.progress(ROW, (), ()).record == MADE
