"""Which rows a batch speaks for."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from functions.domain.claims import covered, divided, matched, paths_by_site, unclaimed
from functions.domain.coverage import Invalidation
from functions.domain.invalidation_limits import halves
from functions.domain.invalidation_record import Contents
from functions.domain.paths import Path
from functions.domain.uploads import Change, Kind
from functions.domain.waiting import Waiting

BEGUN = datetime(2026, 11, 25, 18, tzinfo=UTC)


def row(path: str, after_s: float = 0, site: str = "shop") -> Waiting:
    """Return a row of a change some seconds after the beginning."""
    at = BEGUN + timedelta(seconds=after_s)
    return Waiting("E1", site, Path(path), Change("b", path[1:], Kind.CREATED, None, at))


def test_a_row_of_an_open_batch_is_claimed_and_a_later_one_of_its_path_is_not() -> None:
    """The batch was stored before the later change: it does not know of it."""
    first, again, other = row("/a"), row("/a", 1), row("/b")
    assert unclaimed([first, other, again], [Contents(("/a",), (first,))]) == (other, again)
    assert unclaimed([first, other], []) == (first, other)


def test_a_row_is_covered_by_what_was_made_well_after_it() -> None:
    """By its path or a wildcard, five seconds after it at least."""
    made = [
        Invalidation.of([Path("/a")], BEGUN + timedelta(seconds=5)),
        Invalidation.of([Path("/x/*")], BEGUN + timedelta(seconds=9)),
    ]
    rows = [row("/a"), row("/a", 0.1), row("/x/y", 4), row("/x/y", 4.1), row("/z")]
    assert covered(rows, made) == (rows[0], rows[2])


def test_the_paths_that_are_sent_take_the_rows_that_they_clear() -> None:
    """Exact ones their own, wildcards all below."""
    rows = [row("/a"), row("/a/b"), row("/a/c*"), row("/d")]
    assert matched(rows, ["/a/*", "/d"]) == (rows[1], rows[2], rows[3])


paths = st.sampled_from(["/a", "/a/b", "/a/c", "/d/e", "/a/*", "/*", "/d/*", "/z"])


@given(st.lists(paths, min_size=2, max_size=8, unique=True))
def test_halves_share_out_all_causes_and_no_cause_twice(sent: list[str]) -> None:
    """What a batch was to clear its halves clear together, and each only what it matches."""
    causes = matched([row("/a"), row("/a/b"), row("/d/e"), row("/z"), row("/y")], sent)
    contents = Contents(tuple(sent), causes, {path: "why" for path in sent if "*" in path})
    parts = divided(contents, halves(sent))
    assert sorted(r.row_id for part in parts for r in part.causes) == sorted(
        r.row_id for r in causes
    )
    assert tuple(path for part in parts for path in part.paths) == contents.paths
    for part in parts:
        assert matched(part.causes, part.paths) == part.causes
        assert set(part.reasons) == {path for path in part.paths if "*" in path}


@given(st.lists(paths, min_size=1, max_size=8, unique=True))
def test_each_path_is_paid_for_by_one_site(sent: list[str]) -> None:
    """The bill's paths are shared out, a path of two sites to that of the oldest change."""
    rows = [row("/a"), row("/a/b", 1, "blog"), row("/d/e", 2, "blog"), row("/a", 3, "blog")]
    causes = matched(rows, sent)
    useful = [path for path in sent if matched(rows, [path])]
    used = paths_by_site(Contents(tuple(useful), causes))
    exact_only = {row.path.text for row in causes} | {path for path in useful if "*" in path}
    assert sum(used.values()) == len([path for path in useful if path in exact_only])
    if "/a" in sent:
        assert used["shop"] >= 1
