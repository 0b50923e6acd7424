"""The rows of the uploads come back from their text as they were."""

import json
import string
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from functions.domain import invalidation_json as rows
from functions.domain.batch import BatchState
from functions.domain.invalidation_record import Aside, Contents, Record
from functions.domain.paths import Path
from functions.domain.uploads import Change, Kind
from functions.domain.waiting import Waiting

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
INSTANTS = st.datetimes(timezones=st.just(UTC))
COUNTS = st.integers(0, 3_000)

CHANGES = st.builds(
    Change, TEXTS, KEYS, st.sampled_from(Kind), st.none() | st.text(string.hexdigits), INSTANTS
)
PATHS = st.builds(Path, TEXTS.map(lambda text: f"/{text}"), TEXTS)
WAITING = st.builds(Waiting, TEXTS, TEXTS, PATHS, CHANGES, TEXTS)
RECORDS = st.builds(
    Record,
    distribution=TEXTS,
    batch_id=TEXTS,
    exact=COUNTS,
    wildcards=COUNTS,
    stored_at=INSTANTS,
    state=st.sampled_from(BatchState),
    asked_at=st.none() | INSTANTS,
    tries=COUNTS,
    why=TEXTS,
    invalidation_id=st.none() | TEXTS,
    created_at=st.none() | INSTANTS,
    settled=st.booleans(),
    completed_at=st.none() | INSTANTS,
    looked_at=st.none() | INSTANTS,
    given_up_at=st.none() | INSTANTS,
    looked=COUNTS,
)
ASIDES = st.builds(Aside, TEXTS, TEXTS, TEXTS, INSTANTS, st.lists(TEXTS).map(tuple))
CONTENTS = st.builds(
    Contents,
    st.lists(TEXTS).map(tuple),
    st.lists(WAITING, max_size=5).map(tuple),
    st.dictionaries(TEXTS, TEXTS),
)

EPOCH = datetime(2026, 11, 25, 18, 0, tzinfo=UTC)
RECORD = Record("E1EXAMPLE", "1", 2, 1, EPOCH)


@given(CHANGES)
def test_a_change_comes_back(change: Change) -> None:
    """Whatever is in its key, and at whatever instant."""
    assert rows.read_change(rows.write_change(change)) == change


@given(WAITING)
def test_what_waits_comes_back(row: Waiting) -> None:
    """With the reason of its path, which makes no other path of it."""
    back = rows.read_waiting(rows.write_waiting(row))
    assert back == row
    assert back.path.reason == row.path.reason


@given(RECORDS)
def test_a_record_comes_back(record: Record) -> None:
    """And is open, or not, as it was."""
    back = rows.read_record(rows.write_record(record))
    assert back == record
    assert back.open is record.open


@given(ASIDES)
def test_what_was_set_aside_comes_back(aside: Aside) -> None:
    """All of it: somebody will look at it."""
    assert rows.read_aside(rows.write_aside(aside)) == aside


@given(CONTENTS)
def test_contents_come_back(contents: Contents) -> None:
    """In the order in which the paths are sent."""
    assert rows.read_contents(rows.write_contents(contents)) == contents


@given(RECORDS, RECORDS)
def test_texts_are_equal_where_records_are(one: Record, other: Record) -> None:
    """A condition on the text is a condition on the record."""
    assert (rows.write_record(one) == rows.write_record(other)) is (one == other)
    assert rows.write_record(replace(one)) == rows.write_record(one)


def test_the_text_of_a_record_has_nothing_that_is_at_its_default() -> None:
    """So the text of an earlier version's row is still the text of what is read from it."""
    assert json.loads(rows.write_record(RECORD)) == {
        "distribution": "E1EXAMPLE",
        "batch_id": "1",
        "exact": 2,
        "wildcards": 1,
        "stored_at": "2026-11-25T18:00:00+00:00",
    }


def test_a_field_of_a_later_version_is_not_read() -> None:
    """After a version is taken back its rows can still be read."""
    values = {**json.loads(rows.write_record(RECORD)), "novelty": 1}
    assert rows.read_record(json.dumps(values)) == RECORD


def test_the_causes_of_a_folder_take_little_room() -> None:
    """What repeats itself is stored once: 3,000 causes in far less than a row holds."""
    causes = tuple(
        Waiting(
            "E1EXAMPLE",
            "static",
            Path.of_key(f"photos/2026/{number:05}.jpg"),
            Change("example-static", f"photos/2026/{number:05}.jpg", Kind.CREATED, "0055", EPOCH),
        )
        for number in range(3_000)
    )
    compressed = rows.write_contents(Contents(tuple(row.path.text for row in causes), causes))
    assert len(compressed) < 100_000
