"""The storm of uploads: what it promises to be, or its result proves nothing."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from functions.domain.uploads import Change, read, supersedes
from lab.storm import Event, Storm, events_of

STORM = Storm(uploads=1000, folders=20, over_s=60)
BEGAN = datetime(2026, 11, 26, tzinfo=UTC)


def change_of(event: Event) -> Change:
    """Return the one change that the product reads in an event's message."""
    (change,) = read(event.body(BEGAN)).changes
    return change


def firsts() -> dict[str, Event]:
    """Return the first message of each key, as it is sent."""
    found: dict[str, Event] = {}
    for event in events_of(STORM):
        found.setdefault(event.key, event)
    return found


def test_every_upload_is_told_and_some_twice_and_some_late() -> None:
    """1,000 uploads are 1,000 objects of 20 folders and 1,300 messages."""
    events = events_of(STORM)
    assert len(events) == 1300
    assert {event.key for event in events} == set(STORM.changed)
    folders = Counter(key.rpartition("/")[0] for key in STORM.changed)
    assert len(folders) == 20
    assert set(folders.values()) == {50}
    assert not set(STORM.changed) & set(STORM.left_alone)


def test_messages_are_sent_in_order_and_in_time() -> None:
    """Whoever sends them goes through once, and nothing comes after the storm."""
    due = [event.due_s for event in events_of(STORM)]
    assert due == sorted(due)
    assert 0 <= due[0] <= due[-1] <= STORM.over_s


def test_what_comes_again_has_nothing_to_add() -> None:
    """A fifth is the same once more, a tenth is older than what was told: neither is news."""
    first, again, late = firsts(), 0, 0
    for event in events_of(STORM):
        new, old = change_of(event), change_of(first[event.key])
        if event == first[event.key]:
            continue
        assert not supersedes(new, old)
        again += new == old
        late += new.at < old.at
    assert (again, late) == (200, 100)


def test_the_product_reads_a_message_as_it_is_meant() -> None:
    """The key with its space, and the instant to the millisecond."""
    event = Event(1.0, "shop/007/foto 001.jpg", 0.25, 0x6612800000000)
    change = change_of(event)
    assert change.key == "shop/007/foto 001.jpg"
    assert change.at == BEGAN + timedelta(milliseconds=250)
    assert change.sequencer == "000006612800000000"


def test_the_same_seed_is_the_same_storm() -> None:
    """Two results can be compared."""
    assert events_of(STORM) == events_of(STORM)
    other = Storm(uploads=1000, folders=20, over_s=60, seed=2)
    assert events_of(other) != events_of(STORM)
