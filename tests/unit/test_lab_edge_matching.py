"""What the lab's edge takes a path for: the yardstick must be right before anything is measured."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.edge import matching
from lab.edge.matching import Encodings, Wildcards

DOCUMENTED, AS_SENT = Encodings.DOCUMENTED, Encodings.AS_SENT
ENCODED = "/%E8%B3%87%E6%96%99/%E6%9C%80%E7%B5%82.psd"


def key(target: str, encodings: Encodings = DOCUMENTED, *, query_strings: bool = False) -> str:
    """Return the cache key of a viewer's request."""
    return matching.cache_key(target, encodings, query_strings=query_strings)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a.png", "/a.png"),
        ("/a%20b.png", "/a%20b.png"),
        ("/a%2Bb.png", "/a%2Bb.png"),
        ("/a+b.png", "/a+b.png"),
        ("/100%25.png", "/100%25.png"),
        ("/img%20(1).png", "/img%20(1).png"),
        ("/runtime~main.js", "/runtime%7Emain.js"),
        ("/file[1].png", "/file%5B1%5D.png"),
        ("/50%off.png", "/50%25off.png"),
        (ENCODED, ENCODED),
        ("/資.psd".encode().decode("latin-1"), "/%E8%B3%87.psd"),
        ("/a//b.png", "/a//b.png"),
        ("//b.png", "//b.png"),
        ("/docs/", "/docs/"),
        ("/", "/"),
        ("/a.png?v=2", "/a.png"),
    ],
)
def test_a_path_meets_what_a_browser_asked_for(target: str, path: str) -> None:
    """Encoding what is unsafe, and nothing else, reaches the entry."""
    assert matching.fault_in(path) is None
    assert matching.matches(path, key(target))


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a.png", "/%61.png"),
        ("/img%20(1).png", "/img%20%281%29.png"),
        ("/a/b.png", "/a%2Fb.png"),
        ("/a%2Bb.png", "/a+b.png"),
        ("/a%20b.png", "/a+b.png"),
        ("/a*b.png", "/a%2Ab.png"),
        ("/A.png", "/a.png"),
        ("/a.png", "/A.png"),
        ("/docs/", "/docs"),
        ("/docs/", "/docs/index.html"),
        ("/", "/index.html"),
        ("/a//b.png", "/a/b.png"),
        ("/%e8%b3%87.psd", "/%E8%B3%87.psd"),
        ("/é.png".encode().decode("latin-1"), "/e%CC%81.png"),
        ("/a.png", "/a.png?v=2"),
        ("/a.png", "/a.pn"),
    ],
)
def test_another_spelling_is_accepted_and_meets_nothing(target: str, path: str) -> None:
    """Over-encoding, another case, a cleaned path: CloudFront succeeds, the old object stays."""
    assert matching.fault_in(path) is None
    assert not matching.matches(path, key(target))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a.png",
        "*",
        "/a*b",
        "/a**",
        "/*/a.png",
        "/a b.png",
        "/runtime~main.js",
        "/file[1].png",
        "/資料.psd",
        "/é.png",
        "/100%.png",
        "/50%zz.png",
        "/%%4141",
        '/".png',
        "/<a>",
        "/#top",
        "/{a}",
        "/a|b",
        "/a\\b",
        "/a^b",
        "/a`b",
        "/a\tb",
        "/a\x7fb",
        "/" + "a" * 4000,
    ],
)
def test_a_bad_path_is_refused(path: str) -> None:
    """What the guide forbids is refused, so that a builder sees it in the lab and not at AWS."""
    assert matching.fault_in(path)


@pytest.mark.parametrize("path", ["/", "/*", "/a*", "/a!$&'()+,-./:;=@_b", "/" + "a" * 3999])
def test_safe_and_reserved_characters_stay_raw(path: str) -> None:
    """RFC 1738 knows these as safe or reserved; none of them need be encoded."""
    assert matching.fault_in(path) is None


@pytest.mark.parametrize("character", [*map(chr, range(0x21, 0x7F))])
def test_each_character_has_one_right_spelling(character: str) -> None:
    """Raw or encoded, never neither: there is no character of a URI that no path can reach."""
    if character in "*?":  # a wildcard, and the start of the query string
        return
    raw, code = f"/a{character}b", f"/a%{ord(character):02X}b"
    path = code if matching.fault_in(raw) else raw
    assert matching.fault_in(path) is None
    assert matching.matches(path, key(raw))
    assert not matching.matches(code if path == raw else raw, key(raw))


def test_the_final_asterisk_replaces_any_characters() -> None:
    """Also none, also slashes, also a query string; and nothing before it may differ."""
    for target in ("/docs/", "/docs/a.png", "/docs/2026/a.png", "/docs/%E8.png"):
        assert matching.matches("/docs/*", key(target))
    for target in ("/docs", "/Docs/a.png", "/a/docs/a.png"):
        assert not matching.matches("/docs/*", key(target))
    assert matching.matches("/*", key("/"))
    assert matching.matches("/a*", key("/a*b.png"))
    assert matching.matches("/a.png*", key("/a.png?v=2", query_strings=True))


def test_the_narrow_reading_of_a_folder_wildcard() -> None:
    """`/docs/*` as "all of the files in a directory"; `/docs*` and `/*` are wide all the same."""
    narrow = Wildcards.FOLDER
    assert matching.matches("/docs/*", "/docs/a.png", narrow)
    assert not matching.matches("/docs/*", "/docs/2026/a.png", narrow)
    assert matching.matches("/docs*", "/docs/2026/a.png", narrow)
    assert matching.matches("/*", "/docs/2026/a.png", narrow)


def test_query_strings_count_where_the_distribution_caches_by_them() -> None:
    """By default one entry for all of them; else each its own, and a path must name it."""
    assert key("/a.png?v=1") == key("/a.png?v=2") == "/a.png"
    by_query = key("/a.png?v=1", query_strings=True)
    assert matching.matches("/a.png?v=1", by_query)
    assert not matching.matches("/a.png", by_query)
    assert not matching.matches("/a.png?v=2", by_query)


def test_as_sent_no_path_reaches_a_raw_tilde() -> None:
    """The other reading: `~` is refused, its code meets nothing; only a wildcard is left."""
    assert key("/runtime~main.js", AS_SENT) == "/runtime~main.js"
    assert not matching.matches("/runtime%7Emain.js", key("/runtime~main.js", AS_SENT))
    assert matching.matches("/runtime*", key("/runtime~main.js", AS_SENT))


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="?")))
def test_what_is_cached_can_be_named(rest: str) -> None:
    """For any bytes in a request line: its key is a valid path that meets it, if it has no `*`."""
    cached = key(f"/{rest}")
    assert key(cached) == cached, "a key is its own spelling"
    if "*" not in rest:
        assert matching.fault_in(cached) is None
        assert matching.matches(cached, cached)


@given(st.text(st.sampled_from(string.printable + "é資~%*"), max_size=30))
def test_an_accepted_path_is_plain_ascii(rest: str) -> None:
    """Whatever is accepted has only safe or reserved characters, codes, and one final asterisk."""
    path = f"/{rest}"
    plain = re.fullmatch(r"/([\w!$&'()+,\-./:;=@?]|%[0-9A-Fa-f]{2})*\*?", path, re.ASCII)
    assert (matching.fault_in(path) is None) == bool(plain)
