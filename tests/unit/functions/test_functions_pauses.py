"""When CloudFront is asked again, by what the rows tell."""

from datetime import UTC, datetime, timedelta

from functions.domain.batch import BatchState
from functions.domain.invalidation_limits import Meaning
from functions.domain.invalidation_record import Record
from functions.domain.pauses import ask_again_at, meaning_told, next_batch_at, told

BEGUN = datetime(2026, 11, 25, 18, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Return an instant."""
    return BEGUN + timedelta(seconds=seconds)


def record(
    asked_s: float, state: BatchState, meaning: Meaning | None = None, tries: int = 1
) -> Record:
    """Return the record of a batch that was asked for."""
    why = told(meaning, "because: of it") if meaning else ""
    return Record("E1", f"B{asked_s}", 1, 0, BEGUN, state, at(asked_s), tries, why)


def test_a_record_keeps_the_meaning_of_its_last_answer() -> None:
    """What no answer told, and what an older version wrote, is not known."""
    assert [meaning_told(told(meaning, "a: b")) for meaning in Meaning] == list(Meaning)
    assert meaning_told("") is meaning_told("Throttling") is Meaning.UNKNOWN


def test_an_unknown_batch_is_asked_for_again_at_once_only_after_a_crash() -> None:
    """An answer that told nothing makes a pause, and the next a longer one."""
    unknown = BatchState.UNKNOWN
    assert ask_again_at(record(3, BatchState.ASKED, tries=0)) == at(3)
    assert ask_again_at(record(3, unknown, Meaning.UNKNOWN)) == at(8)
    assert ask_again_at(record(3, unknown, Meaning.UNKNOWN, tries=2)) == at(13)
    assert ask_again_at(record(3, unknown, Meaning.FORBIDDEN)) == at(63)


def test_refusals_of_batches_in_a_row_add_up() -> None:
    """Each is another batch; the last answer says which pause."""
    refused = BatchState.REFUSED
    rows = [record(0, refused, Meaning.FULL), record(10, refused, Meaning.THROTTLED)]
    assert next_batch_at(rows) == next_batch_at(rows[::-1]) == at(18)
    assert next_batch_at([*rows, record(18, refused, Meaning.THROTTLED)]) == at(34)


def test_an_answer_ends_the_row_of_refusals() -> None:
    """Also that of an older batch which was asked for again."""
    rows = [
        record(0, BatchState.REFUSED, Meaning.THROTTLED),
        record(20, BatchState.ANSWERED, tries=0),
    ]
    assert next_batch_at(rows) is None
    assert next_batch_at([*rows, record(30, BatchState.REFUSED, Meaning.FULL)]) == at(40)
    assert next_batch_at([]) is None


def test_a_batch_that_is_bad_in_itself_stops_no_other() -> None:
    """Bad paths and a reference that was taken say nothing of the next batch."""
    rows = [
        record(0, BatchState.REFUSED, Meaning.BAD_PATHS),
        record(1, BatchState.UNKNOWN, Meaning.REFERENCE_TAKEN),
    ]
    assert next_batch_at(rows) is None
