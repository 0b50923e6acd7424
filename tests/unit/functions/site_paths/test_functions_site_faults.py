"""Settings of a site that are wrong, and the sentence that says what would be right."""

from typing import Any

import pytest

from functions.domain.path_rules import PathRule
from functions.domain.site import Site, SiteError
from tests.unit.functions.site_paths.static_site import site


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"origin_path": "site/"}, 'origin_path must be of the form /site, or empty, not "site/"'),
        ({"origin_path": "/site/"}, "origin_path must be of the form /site"),
        ({"origin_path": "/a//b"}, "origin_path must be of the form /site"),
        ({"index_documents": ("docs/index.html",)}, "names of files without a slash"),
        ({"ignore": ("",)}, 'ignore "" must not be empty'),
        ({"ignore": ("/a/*.map",)}, 'without a slash, as keys do: write "a/*.map"'),
        ({"ignore": ("a/**.map",)}, "must have ** alone between slashes, as in assets/**/*.map"),
        ({"monthly_cap_usd": -1.0}, "monthly_cap_usd must be dollars, 0 or more, not -1.0"),
        ({"monthly_cap_usd": float("nan")}, "monthly_cap_usd must be dollars"),
    ],
)
def test_a_wrong_setting_says_what_would_be_right(settings: dict[str, Any], sentence: str) -> None:
    """The operator reads one sentence and knows what to write."""
    with pytest.raises(SiteError) as caught:
        site(**settings)
    assert len(caught.value.faults) == 1
    assert sentence in caught.value.faults[0]


@pytest.mark.parametrize(
    ("match", "templates", "sentence"),
    [
        ("{page.html", ("/a",), "must have braces only around a name, as in {page}"),
        ("{}.html", ("/a",), "must have braces only around a name, as in {page}"),
        ("{page!r}.html", ("/a",), "must have braces only around a name, as in {page}"),
        ("{page:x}.html", ("/a",), "must have braces only around a name, as in {page}"),
        ("{page.x}", ("/a",), "must have braces only around a name, as in {page}"),
        ("/{page}.html", ("/{page}",), 'without a slash: write "{page}.html"'),
        ("", ("/a",), 'without a slash: write "{page}"'),
        ("docs/*.html", ("/a",), "must have a {name} where any characters may be, not a *"),
        ("{a}/{b}/{c}", ("/{c}",), "must have at most 2 names in braces"),
        ("{a}/{a}", ("/{a}",), "must have each name once"),
        ("{a}{b}", ("/{a}",), "must have text between its names"),
        ("{page}.html", (), "must have at least one path in paths"),
        ("{page}.html", ("{page}",), 'path "{page}" must begin with /'),
        ("{page}.html", ("/{pge}",), "has {pge}, but the names in match are: {page}"),
        ("index.html", ("/{page}",), "has {page}, but the names in match are: none"),
        ("{page}.html", ("/*/{page}",), "must have its * at the end"),
        ("{page}.html", ("/資/{page} x%",), 'write "/%E8%B3%87/{page}%20x%25"'),
        ("{page}.html", ("/~{page}",), 'write "/%7E{page}"'),
        ("{page}.html", ("/{page",), "must have braces only around a name"),
    ],
)
def test_a_wrong_rule_says_what_would_be_right(
    match: str, templates: tuple[str, ...], sentence: str
) -> None:
    """A rule that cannot do what was meant is refused, before it silently clears nothing."""
    with pytest.raises(SiteError) as caught:
        site(extra_paths=(PathRule(match, templates),))
    assert len(caught.value.faults) == 1
    assert sentence in caught.value.faults[0]


def test_all_faults_of_a_site_are_told_at_once() -> None:
    """Whoever mends the file sees all that is to be mended."""
    with pytest.raises(SiteError, match="site static: ") as caught:
        Site("static", "", (), "x", ("a/b",), (PathRule("{a}{b}", ("a",)),), ("/x",), -1)
    assert len(caught.value.faults) == 8
