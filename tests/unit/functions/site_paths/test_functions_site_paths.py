"""Which paths clear a key of a site, and what a path matches."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.path_rules import PathRule
from functions.domain.paths import STAR_IN_KEY, TOO_LONG, Path
from functions.domain.site import paths_of
from tests.unit.functions.site_paths.static_site import site, told

texts = st.text(st.sampled_from("ab/?"), max_size=5).map(lambda text: f"/{text}")
paths = st.builds(lambda text, star: Path(text + star), texts, st.sampled_from(["", "*", "**"]))
names = st.text(st.sampled_from("ab/.*é"), max_size=8)


def clears(path: Path, uri: str) -> bool:
    """Say what CloudFront's guide says, in other words than the code."""
    form = re.escape(path.text)
    return bool(re.fullmatch(f"{form[:-2]}.*" if path.text[-1] == "*" else form, uri))


@given(paths, paths, st.lists(texts, max_size=20))
def test_a_path_matches_another_that_clears_nothing_else(
    path: Path, other: Path, uris: list[str]
) -> None:
    """Coverage stands on this: a wrong yes leaves a stale file, a wrong no costs a path."""
    rest = [other.text[:-1], f"{other.text[:-1]}x"] if other.is_wildcard else [other.text]
    cleared = [uri for uri in (*uris, *rest) if clears(other, uri)]
    assert path.matches(other) == all(clears(path, uri) for uri in cleared)


@pytest.mark.parametrize(
    ("path", "other", "matches"),
    [
        ("/a.png", "/a.png", True),
        ("/a.png", "/A.png", False),
        ("/a.png", "/a.png?v=2", False),
        ("/a.png*", "/a.png?v=2", True),
        ("/a.png?v=2", "/a.png", False),
        ("/docs/*", "/docs/2026/a.png", True),
        ("/docs/*", "/docs/", True),
        ("/docs/*", "/docs", False),
        ("/docs*", "/docs2/a.png", True),
        ("/*", "/", True),
        ("/docs/*", "/docs*", False),
        ("/docs*", "/docs/*", True),
        ("/docs/", "/docs/*", False),
        ("/docs**", "/docs*", False),
    ],
)
def test_matching_is_as_documented(path: str, other: str, *, matches: bool) -> None:
    """Case counts, a last star is any rest, and a query string is part of what is cached."""
    assert Path(path).matches(Path(other)) is matches


def test_a_wildcard_says_why_it_is_one() -> None:
    """It is counted apart and throws away what nobody changed: history must tell the reason."""
    (path,) = paths_of(site(), "a*b.png")
    assert path.is_wildcard
    assert path == Path("/a*")
    assert path.reason == STAR_IN_KEY
    assert [(path.is_wildcard, path.reason) for path in paths_of(site(), "a.png")] == [(False, "")]
    assert paths_of(site(), "a" * 4_000)[0].reason == TOO_LONG


@pytest.mark.parametrize(
    ("origin_path", "key", "expected"),
    [
        ("/site", "site/a.png", ["/a.png"]),
        ("/site", "sitemap.xml", []),
        ("/site", "site", []),
        ("/site", "site/", ["/"]),
        ("/site", "site//a.png", ["//a.png"]),
        ("/site", "/site/a.png", []),
        ("/site", "Site/a.png", []),
        ("/site", "other/site/a.png", []),
        ("/site/資料", "site/資料/a.png", ["/a.png"]),
        ("/site/v1", "site/a.png", []),
        ("", "site/a.png", ["/site/a.png"]),
        ("/", "site/a.png", ["/site/a.png"]),
        ("/", "/a.png", ["//a.png"]),
    ],
)
def test_the_origin_path_is_taken_off_at_a_slash(
    origin_path: str, key: str, expected: list[str]
) -> None:
    """What is not below it, no viewer of these distributions can ask for."""
    assert told(site(origin_path=origin_path), key) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("docs/index.html", ["/docs/index.html", "/docs/"]),
        ("index.html", ["/index.html", "/"]),
        ("資料/index.html", ["/%E8%B3%87%E6%96%99/index.html", "/%E8%B3%87%E6%96%99/"]),
        ("a//index.html", ["/a//index.html", "/a//"]),
        ("docs/default.htm", ["/docs/default.htm", "/docs/"]),
        ("docs/Index.html", ["/docs/Index.html"]),
        ("docs/my-index.html", ["/docs/my-index.html"]),
        ("index.html/a.png", ["/index.html/a.png"]),
        ("a*b/index.html", ["/a*"]),
    ],
)
def test_an_index_document_is_its_folder_too(key: str, expected: list[str]) -> None:
    """`/docs/` and `/docs/index.html` are two entries of the cache with one object behind them."""
    assert told(site(index_documents=("index.html", "default.htm")), key) == expected


@pytest.mark.parametrize(
    ("match", "templates", "key", "expected"),
    [
        ("{page}.html", ("/{page}", "/{page}/"), "a/b.html", ["/a/b", "/a/b/"]),
        ("{page}.html", ("/{page}",), "a b/ü.html", ["/a%20b/%C3%BC"]),
        ("{page}.html", ("/{page}",), "a.html.html", ["/a.html"]),
        ("{page}.html", ("/{page}",), ".html", []),
        ("{page}.html", ("/{page}",), "a.html\n", []),
        ("{page}.html", ("/{page}",), "a\nb.html", ["/a%0Ab"]),
        ("{page}.html", ("/{page}",), "a.HTML", []),
        ("{folder}/index.html", ("/{folder}",), "docs/index.html", ["/docs"]),
        ("en/{rest}", ("/{rest}",), "en/a/b.png", ["/a/b.png"]),
        ("{lang}/{rest}", ("/{rest}?lang={lang}",), "en/a/b.png", ["/a/b.png?lang=en"]),
        ("{page}.html", ("/{page}.html*",), "a.html", ["/a.html*"]),
        ("index.html", ("/*",), "index.html", ["/*"]),
        ("{page}.html", ("/x/{page}/y",), "a*b.html", ["/x/a*"]),
        ("{{{id}}}.js", ("/{id}",), "{7}.js", ["/7"]),
        ("{page}.h+ml", ("/{page}",), "a.h+ml", ["/a"]),
    ],
)
def test_an_extra_path_is_what_viewers_ask_for(
    match: str, templates: tuple[str, ...], key: str, expected: list[str]
) -> None:
    """Where a function rewrites addresses, an object is cached by them as well."""
    rules = (PathRule(match, templates),)
    assert told(site(extra_paths=rules), key)[1:] == expected


def test_an_extra_path_with_a_star_says_so() -> None:
    """Where it is the rule's doing and where the key's, the two are told apart."""
    rules = (PathRule("{page}.html", ("/{page}/*",)),)
    by_rule, by_key = (
        paths_of(site(extra_paths=rules), key)[-1].reason for key in ("a.html", "*.html")
    )
    assert by_rule == "the extra path /{page}/* ends in *"
    assert by_key == STAR_IN_KEY
    twice = site(extra_paths=(PathRule("{page}.html", ("/{page}/{page}", "/{page}/{page}*")),))
    long = paths_of(twice, f"{'a' * 2_500}.html")[1:]
    assert [path.reason for path in long] == [TOO_LONG]


def test_extra_paths_and_ignored_keys_are_below_the_origin_path() -> None:
    """One way to write a key in a site's settings: as its viewers see it."""
    rooted = site(
        origin_path="/site",
        extra_paths=(PathRule("{page}.html", ("/{page}",)),),
        ignore=("assets/**",),
    )
    assert told(rooted, "site/a.html") == ["/a.html", "/a"]
    assert told(rooted, "site/assets/app.js") == []
    assert told(rooted, "assets/app.js") == []


@given(names)
def test_no_path_comes_twice_and_each_can_be_sent(key: str) -> None:
    """A path that comes twice is paid twice, and one bad path fails its whole batch."""
    everything = site(
        index_documents=("a", "b"),
        extra_paths=(PathRule("{x}", ("/{x}", "/a{x}b")), PathRule("{x}/{y}", ("/{y}/{x}",))),
    )
    found = told(everything, key)
    assert len(set(found)) == len(found) >= 1
    for path in found:
        assert re.fullmatch(r"/(?:[A-Za-z0-9/.]|%[0-9A-F]{2})*\*?", path)


def test_no_key_makes_a_rule_slow() -> None:
    """Whoever may upload chooses the keys: the worst of 1,024 bytes costs no one's minute."""
    worst = site(
        extra_paths=(PathRule("{a}a{b}ab", ("/{a}{b}",)),),
        ignore=("**/a*a*a*a*a*b/**/a*a*a*b", "**/a/**/a/**/a/**/b"),
    )
    began = time.process_time()
    for key in ("a" * 1024, "a/" * 512):
        paths_of(worst, key)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("match", ["{a}}}{{{b}", "{a}{{{b}", "{{{a}", "a{{}}"])
def test_braces_of_a_key_are_written_twice(match: str) -> None:
    """They separate names like any other text."""
    assert list(PathRule(match, ("/x",)).faults()) == []
