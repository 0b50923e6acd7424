"""A folder is sent together, and a single file at once."""

from datetime import timedelta

from functions.domain.paths import Path
from functions.domain.uploads import Change, Kind
from functions.domain.waiting import Waiting
from functions.turn_arrivals import LONGEST_S, LOOK_AGAIN_S, Arrivals
from tests.twins.clock import EPOCH

HOUR = timedelta(hours=1)


def rows(count: int, first: int = 0) -> list[Waiting]:
    """Return the rows of so many files, uploaded an hour before anybody looks."""
    keys = [f"folder/{number}.png" for number in range(first, first + count)]
    changes = [Change("example-static", key, Kind.CREATED, None, EPOCH - HOUR) for key in keys]
    return [Waiting("E1EXAMPLE", "static", Path.of_key(one.key), one) for one in changes]


def looks(*found: list[Waiting]) -> list[bool]:
    """Return what each look says, LOOK_AGAIN_S apart."""
    arrivals = Arrivals()
    return [
        arrivals.go_on(each, EPOCH + timedelta(seconds=number * LOOK_AGAIN_S))
        for number, each in enumerate(found)
    ]


def test_a_single_file_waits_for_nothing() -> None:
    """Also with its folder's index page: what counts is the key."""
    (row,) = rows(1)
    again = Waiting(row.distribution, row.site, Path("/folder/"), row.change)
    assert looks([row, again]) == [False]


def test_a_folder_waits_until_a_look_finds_no_more() -> None:
    """However long ago S3 says that its files were uploaded."""
    assert looks(rows(10), rows(300), rows(500), rows(500)) == [True, True, True, False]


def test_nobody_waits_for_an_endless_folder() -> None:
    """The first file's visitors look at the old one meanwhile."""
    told = looks(*(rows(10 + number) for number in range(20)))
    assert told.index(False) == LONGEST_S / LOOK_AGAIN_S


def test_what_comes_after_a_call_waits_anew() -> None:
    """The rows of the first call are gone from the look: the rest is a group of its own."""
    told = looks(*(rows(10 + number) for number in range(7)), rows(5, first=100))
    assert told[-2:] == [False, True]
