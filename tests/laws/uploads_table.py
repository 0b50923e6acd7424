"""A change and its rows are written together or not at all, in DynamoDB as in memory."""

from functions.domain.paths import Path
from functions.domain.uploads import Change, Kind
from functions.domain.waiting import Waiting
from functions.upload_ports import Uploads
from tests.laws.upload_rows import HERE, THERE, change, news, waiting
from tests.twins.clock import EPOCH


class UploadLaws:
    """Subclasses have a fixture `uploads`: an empty table."""

    def test_a_change_and_its_rows_are_written_together(self, uploads: Uploads) -> None:
        """Whoever sees the change may count on it that its rows wait."""
        assert uploads.seen("static", ["a.png"]) == {}
        one, other = waiting(), waiting(distribution=THERE)
        assert list(uploads.note([news(change(), rows=[one, other])])) == []
        assert uploads.seen("static", ["a.png", "b.png"]) == {"a.png": change()}
        assert list(uploads.waiting(HERE)) == [one]
        assert list(uploads.waiting(THERE)) == [other]

    def test_what_was_decided_on_old_news_is_not_written(self, uploads: Uploads) -> None:
        """Neither the change nor its rows; and what was decided rightly beside it is."""
        first, second = change(sequencer="01"), change(sequencer="02", after_s=1)
        uploads.note([news(first)])
        unaware, wrong = news(second), news(second, seen=change(sequencer="00"))
        other = news(change("b.png"))
        assert list(uploads.note([unaware, other, wrong])) == [unaware, wrong]
        assert uploads.seen("static", ["a.png", "b.png"]) == {
            "a.png": first,
            "b.png": change("b.png"),
        }
        assert {row.change.key for row in uploads.waiting(HERE)} == {"a.png", "b.png"}
        assert list(uploads.note([news(second, seen=first)])) == []
        assert uploads.seen("static", ["a.png"]) == {"a.png": second}

    def test_the_same_news_again_is_the_same_write(self, uploads: Uploads) -> None:
        """When AWS's answer is lost it is repeated, and must not take itself for another."""
        assert list(uploads.note([news(change())])) == []
        assert list(uploads.note([news(change())])) == []
        later = change(sequencer=None, after_s=1)
        assert list(uploads.note([news(later, seen=change())])) == []
        assert list(uploads.note([news(later, seen=change())])) == []
        assert len(uploads.waiting(HERE)) == 2

    def test_each_site_and_each_key_is_seen_apart(self, uploads: Uploads) -> None:
        """Two sites may show one bucket; names of 1,024 bytes in any script are names."""
        names = ["a.png", "A.png", "a.png/", "資料/" + "最終" * 160, "a\0b", "e\u0301", "\u00e9"]
        uploads.note([news(change(name)) for name in names])
        assert uploads.seen("static", names) == {name: change(name) for name in names}
        assert uploads.seen("other", names) == {}

    def test_many_keys_are_seen_at_once(self, uploads: Uploads) -> None:
        """A key named twice is no fault, and neither are more than a call can hold."""
        names = [f"{number}.png" for number in range(120)]
        uploads.note([news(change(name), rows=()) for name in names])
        assert len(uploads.seen("static", [*names, *names])) == 120

    def test_what_waits_is_in_the_order_of_its_changes(self, uploads: Uploads) -> None:
        """The oldest is read alone; times differ by microseconds, and need not be whole ones."""
        late, early = change("b", after_s=1.000001), change("c", after_s=1)
        first = change("a", after_s=0.999999)
        uploads.ask([waiting(late), waiting(first), waiting(early)])
        assert [row.change.key for row in uploads.waiting(HERE)] == ["a", "c", "b"]
        assert uploads.oldest(HERE) == waiting(first)
        assert uploads.oldest(THERE) is None

    def test_rows_are_asked_for_and_settled_by_the_hundred(self, uploads: Uploads) -> None:
        """Each is one row however often it is written, and settling again is harmless."""
        every = [waiting(change(f"{number}.png", after_s=number)) for number in range(60)]
        uploads.ask([*every, *every])
        assert list(uploads.waiting(HERE)) == every
        uploads.settle([*every[1:], *every[1:]])
        uploads.settle(every[1:])
        assert list(uploads.waiting(HERE)) == every[:1]

    def test_a_row_says_who_asked_and_why_it_is_a_wildcard(self, uploads: Uploads) -> None:
        """All of it comes back, to be shown in the history."""
        asked = Change("example-static", "docs/", Kind.ASKED, None, EPOCH)
        row = Waiting(HERE, "static", Path("/docs/*", "by hand"), asked, asked_by="arn:me")
        uploads.ask([row])
        (back,) = uploads.waiting(HERE)
        assert back == row
        assert back.path.reason == "by hand"

    def test_a_row_that_is_named_twice_is_one_row(self, uploads: Uploads) -> None:
        """A site may name a distribution twice: no fault for which an upload should wait."""
        assert list(uploads.note([news(change(), rows=[waiting(), waiting()])])) == []
        assert list(uploads.waiting(HERE)) == [waiting()]

    def test_a_change_of_very_many_rows_is_written_whole(self, uploads: Uploads) -> None:
        """Rules and distributions multiply."""
        every = [waiting(path=f"/{number:03}") for number in range(130)]
        assert list(uploads.note([news(change(), rows=every)])) == []
        assert {row.path.text for row in uploads.waiting(HERE)} == {row.path.text for row in every}

    def test_whoever_waits_is_told_of_his_own_rows(self, uploads: Uploads) -> None:
        """Of those that wait, and of no other: on each distribution, however many others do."""
        mine, there = waiting(), waiting(distribution=THERE)
        gone, others = waiting(change("b.png")), waiting(change("c.png"))
        uploads.ask([mine, there, gone, others])
        uploads.settle([gone])
        assert set(uploads.still_waiting([mine, gone])) == {mine.row_id}
        assert set(uploads.still_waiting([there])) == {there.row_id}
        assert not uploads.still_waiting([])
