"""What a bucket tells becomes rows that wait: once, in order, and whatever else is in the queue."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from functions.collecting import MOST_LOOKS, CrowdedKeyError
from functions.domain.sites import Sites
from tests.twins.clock import EPOCH
from tests.twins.upload_world import TwinUploadWorld, record, site

BUCKET = "shop-bucket"


def message(*records: str) -> str:
    """Return a message's body."""
    return f'{{"Records":[{",".join(records)}]}}'


def world_of() -> TwinUploadWorld:
    """Return a world of two sites on one bucket, which show two distributions."""
    both = site(ignore=("*.map",)), site("docs", bucket=BUCKET, distributions=("E1", "E2"))
    return TwinUploadWorld(Sites.of(both))


def waiting(world: TwinUploadWorld) -> list[tuple[str, str, str]]:
    """Return what waits: distribution, site and path."""
    return sorted(
        (row.distribution, row.site, row.path.text)
        for rows in world.table.waiting.values()
        for row in rows.values()
    )


def test_a_change_waits_on_every_distribution_of_every_site_of_its_bucket() -> None:
    """And each of them is woken, a second later, when its rows are written."""
    world = world_of()
    world.collect([message(record(BUCKET, "a+b c.png", EPOCH, "0A"))])
    path = "/a%2Bb%20c.png"
    assert waiting(world) == [("E1", "docs", path), ("E1", "shop", path), ("E2", "docs", path)]
    due = EPOCH + timedelta(seconds=1)
    assert sorted(world.table.messages) == [(due, "E1"), (due, "E2")]


def test_every_record_of_every_message_is_read() -> None:
    """A message has several records, and a batch several messages."""
    world = world_of()
    bodies = [
        message(*(record(BUCKET, f"{m}/{n}.png", EPOCH, "0A") for n in range(3))) for m in range(4)
    ]
    world.collect(bodies)
    assert len(world.table.waiting["E2"]) == 12
    assert len(world.table.messages) == 2


def test_what_is_late_or_repeated_adds_nothing() -> None:
    """Within a batch of messages and after it, in any order."""
    world = world_of()
    old, new = (record(BUCKET, "a.png", EPOCH, sequencer) for sequencer in ("0A", "0B"))
    world.collect([message(new, old), message(new)])
    world.table.waiting.clear()
    world.table.due.clear()
    world.table.messages.clear()
    world.collect([message(old), message(new)])
    assert not waiting(world)
    assert not world.table.messages, "nothing waits, so nobody is woken"
    assert world.measures.collected_["changes"] == 2


def test_without_a_sequencer_the_time_decides() -> None:
    """An older event is no news, a newer one is."""
    world = world_of()
    later = EPOCH + timedelta(seconds=2)
    world.collect([message(record(BUCKET, "a.png", later, None))])
    world.collect([message(record(BUCKET, "a.png", EPOCH, None))])
    assert len(world.table.waiting["E2"]) == 1
    world.collect([message(record(BUCKET, "a.png", later + timedelta(seconds=1), None))])
    assert len(world.table.waiting["E2"]) == 2


def test_the_later_time_is_kept_where_clocks_disagree() -> None:
    """A change that follows another one is not covered by what covers that one alone."""
    world = world_of()
    late = EPOCH + timedelta(seconds=9)
    world.collect([message(record(BUCKET, "a.png", late, "0A"))])
    world.collect([message(record(BUCKET, "a.png", EPOCH, "0B"))])
    assert {row.change.at for row in world.table.waiting["E2"].values()} == {late}
    assert world.table.seen["shop", "a.png"].sequencer == "0B"


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}),
        message(record("a-strangers", "a.png", EPOCH, "0A")),
        message(record(BUCKET, "a.png", EPOCH, "0A", "ObjectTagging:Put")),
    ],
)
def test_what_is_no_change_of_a_site_does_no_harm(body: str) -> None:
    """It is counted and acknowledged, and the messages beside it are read."""
    world = world_of()
    world.collect([body, message(record(BUCKET, "b.png", EPOCH, "0A"))])
    assert not world.dead_letters
    assert len(waiting(world)) == 3
    assert world.measures.collected_["ignored"] == 1


def test_a_key_that_a_site_ignores_waits_only_for_the_others() -> None:
    """A source map of the shop is one of the docs."""
    world = world_of()
    world.collect([message(record(BUCKET, "a.map", EPOCH, "0A"))])
    assert {name for _, name, _ in waiting(world)} == {"docs"}


@pytest.mark.parametrize("bad", ["}{", "[]", '{"Records":[{"eventVersion":"3.0"}]}'])
def test_what_cannot_be_read_is_left_to_the_dead_letters(bad: str) -> None:
    """An unknown version and a riddle fail; the readable messages beside them do not."""
    world = world_of()
    world.collect([bad, message(record(BUCKET, "b.png", EPOCH, "0A"))])
    assert world.dead_letters == [bad]
    assert len(waiting(world)) == 3


def test_the_readable_records_of_a_bad_message_are_noted_all_the_same() -> None:
    """They need not wait until somebody looks at the dead letters."""
    world = world_of()
    body = message(record(BUCKET, "b.png", EPOCH, "0A"), "7")
    world.collect([body])
    assert world.dead_letters == [body]
    assert len(waiting(world)) == 3


def test_rows_are_written_before_anybody_is_woken() -> None:
    """Whoever is woken must find them."""
    world = world_of()
    order: list[str] = []
    world.hook = lambda _, name: order.append(name)
    world.collect([message(record(BUCKET, "a.png", EPOCH, "0A"))])
    last_note = max(place for place, name in enumerate(order) if name == "note")
    assert last_note < order.index("wake")


def test_a_key_that_another_collector_changed_meanwhile_is_looked_at_again() -> None:
    """What was decided on something else than what was seen by now is decided anew."""
    world = world_of()
    newer = world_of()
    newer.collect([message(record(BUCKET, "a.png", EPOCH, "0C"))])
    noted: list[int] = []

    def overtake(step: int, name: str) -> None:
        if name == "note" and not noted:
            noted.append(step)
            world.table.seen.update(newer.table.seen)

    world.hook = overtake
    world.collect([message(record(BUCKET, "a.png", EPOCH, "0B"))])
    assert not waiting(world), "the other one's is the later change"


def test_a_key_that_is_never_at_rest_is_delivered_again() -> None:
    """After some looks the messages are an error: they come once more."""
    world = world_of()
    looks: list[int] = []

    def disturb(step: int, name: str) -> None:
        if name == "note":
            looks.append(step)
            for name_, change in list(world.table.seen.items()):
                world.table.seen[name_] = replace(change, at=change.at - timedelta(seconds=1))

    world.collect([message(record(BUCKET, "a.png", EPOCH, "0A"))])
    world.hook = disturb
    with pytest.raises(CrowdedKeyError):
        world.collect([message(record(BUCKET, "a.png", EPOCH + timedelta(seconds=5), "0B"))])
    assert len(looks) >= MOST_LOOKS


def test_what_cannot_be_told_from_the_change_before_it_has_rows_of_its_own() -> None:
    """Without a sequencer: whoever clears the first one deletes its rows alone."""
    world = world_of()
    body = message(record(BUCKET, "a.png", EPOCH, None))
    world.collect([body])
    first = len(world.table.waiting["E1"])
    removed = message(record(BUCKET, "a.png", EPOCH, None, "ObjectRemoved:Delete"))
    for times, another in enumerate([body, removed, body, body], start=2):
        world.collect([another])
        assert len(world.table.waiting["E1"]) == times * first
