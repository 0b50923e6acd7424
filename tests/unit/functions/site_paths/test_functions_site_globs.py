"""Which keys a site ignores: what its patterns mean."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain import globs
from tests.unit.functions.site_paths.static_site import site, told


@pytest.mark.parametrize(
    ("glob", "ignored", "kept"),
    [
        ("**/*.map", ["a.map", "a/b.map", "a/b/.map"], ["a.map/b", "a.maps", "a.MAP"]),
        ("*.map", ["a.map", ".map"], ["a/b.map"]),
        ("assets/**", ["assets/a", "assets/a/b", "assets/"], ["assets", "assets2/a", "x/assets/a"]),
        ("a/**/b/*.js", ["a/b/c.js", "a/x/b/c.js", "a/b/b/c.js"], ["a/b/x/c.js", "ab/c.js"]),
        ("**/b/**/c", ["b/c", "a/b/c", "b/b/x/c/c"], ["b/cc", "c", "b/x/c/d"]),
        ("app.????.js", ["app.1f3a.js"], ["app.1f3.js", "app.1/3a.js"]),
        ("[slug].js", ["[slug].js"], ["s.js"]),
        ("**", ["a", "a/b", ""], []),
        ("資*/a", ["資料/a", "資/a"], ["資料/b/a"]),
    ],
)
def test_a_pattern_is_compared_with_the_whole_key(
    glob: str, ignored: list[str], kept: list[str]
) -> None:
    """A star stays in its folder, two of them are folders: as its docstring says."""
    assert [key for key in ignored + kept if globs.matches(glob, key)] == ignored
    assert [key for key in ignored + kept if told(site(ignore=(glob,)), key)] == kept


_GLOB_PARTS = st.sampled_from(["**", "*", "a", "a*", "*b", "?", "b"])


@given(st.lists(_GLOB_PARTS, min_size=1, max_size=5), st.text("ab/", max_size=8))
def test_patterns_mean_what_their_slow_definition_says(parts: list[str], key: str) -> None:
    """The one step back over folders finds what trying everything finds."""
    form = ""
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        if part == "**":
            form += ".*" if last else "(?:[^/]*/)*"
        else:
            named = part.replace("*", "[^/]*").replace("?", "[^/]")
            form += named if last else f"{named}/"
    assert globs.matches("/".join(parts), key) == bool(re.fullmatch(form, key))
