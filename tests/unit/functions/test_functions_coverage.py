"""When an invalidation that was made already is enough."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.coverage import Invalidation, covers, uncovered
from functions.domain.paths import Path
from functions.domain.site import Site, paths_of
from functions.domain.uploads import Change, Kind

AT = datetime(2026, 11, 25, 18, 0, 0, 500_000, tzinfo=UTC)
CHANGE = Change("example-static", "docs/a.png", Kind.CREATED, None, AT)
PATH = Path("/docs/a.png")

texts = st.text("ab/", max_size=4).map(lambda text: f"/{text}")
paths = st.builds(lambda text, star: Path(text + star), texts, st.sampled_from(["", "*"]))


def made(*paths: str, after_s: float | None = 10) -> Invalidation:
    """Return an invalidation that CloudFront made so long after the change; None: no answer."""
    created_at = None if after_s is None else AT + timedelta(seconds=after_s)
    return Invalidation.of([Path(path) for path in paths], created_at)


@pytest.mark.parametrize(
    ("after_s", "expected"),
    [(5, True), (3600, True), (4.999, False), (0, False), (-10, False), (None, False)],
)
def test_only_an_answered_invalidation_after_the_change_covers_it(
    after_s: float | None, *, expected: bool
) -> None:
    """One that is not answered may never have been made, one too early let the old object back."""
    assert covers(made("/docs/a.png", after_s=after_s), PATH, CHANGE) is expected


def test_the_margin_is_the_callers() -> None:
    """Five seconds unless told."""
    assert covers(made("/docs/a.png", after_s=0), PATH, CHANGE, margin_s=0)
    assert not covers(made("/docs/a.png", after_s=10), PATH, CHANGE, margin_s=11)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/docs/a.png", True),
        ("/docs/*", True),
        ("/docs/a*", True),
        ("/*", True),
        ("/docs/A.png", False),
        ("/docs/", False),
        ("/docs/a.png?v=1", False),
        ("/img/*", False),
    ],
)
def test_a_wildcard_covers_what_it_clears(path: str, *, expected: bool) -> None:
    """Whoever made it, for whatever reason: a folder cleared by hand spares its uploads a path."""
    assert covers(made("/x", path), PATH, CHANGE) is expected


def test_each_path_of_a_change_needs_its_own_cover() -> None:
    """The page being cleared says nothing of the folder's address."""
    site = Site("static", "example-static", ("E1EXAMPLE",), index_documents=("index.html",))
    both = paths_of(site, "docs/index.html")
    page, folder = made("/docs/index.html"), made("/docs/", after_s=7)
    assert uncovered([], both, CHANGE) == both
    assert uncovered([page], both, CHANGE) == (Path("/docs/"),)
    assert uncovered([page, folder], both, CHANGE) == ()
    assert uncovered([made("/docs*")], both, CHANGE) == ()
    assert uncovered([page, made("/docs/", after_s=4)], both, CHANGE) == (Path("/docs/"),)


def test_a_wildcard_is_covered_by_the_same_or_a_wider_one() -> None:
    """A key with a star in its name is not cleared by any exact path."""
    assert covers(made("/docs/*"), Path("/docs/a*", "the key has a *"), CHANGE)
    assert covers(made("/docs/a*"), Path("/docs/a*"), CHANGE)
    assert not covers(made("/docs/a", "/docs/a.png"), Path("/docs/a*"), CHANGE)
    assert not covers(made("/docs/ab*"), Path("/docs/a*"), CHANGE)


@given(st.lists(paths, max_size=6), paths)
def test_the_index_of_an_invalidation_finds_what_its_paths_match(
    sent: list[Path], path: Path
) -> None:
    """Ten thousand uploads ask three thousand paths: the short cut must change no answer."""
    assert Invalidation.of(sent, AT).matches(path) == any(one.matches(path) for one in sent)
