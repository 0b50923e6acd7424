"""Keys as paths: what is encoded, and that nothing else ever is."""

import re
import string
import unicodedata
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.domain.path_encoding import (
    MAX_CHARACTERS,
    NoSuchKeyPathError,
    decode,
    encode,
    fitted,
    respelt,
)

SAFE = string.ascii_letters + string.digits + "/!$&'(),-.:;=@_"
"""What ASCII has that RFC 1738 does not call unsafe, less `+`, `?` and `*`: written down here anew,
so that a change of the code must be one of both."""

HARD = "".join(map(chr, range(33))) + "\x7f" + '/.%+~?#*"<>[]{}|\\^` é\u0301が資🦊か\u3099\uffff'
keys = st.text(st.sampled_from(HARD + "aZ9(&=") | st.characters(exclude_categories=["Cs"]))
plain_keys = keys.filter(lambda key: "*" not in key)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a b.png", "/a%20b.png"),
        ("a+b.png", "/a%2Bb.png"),
        ("100%.png", "/100%25.png"),
        ("img (1).png", "/img%20(1).png"),
        ("runtime~main.js", "/runtime%7Emain.js"),
        ("資料/最終.psd", "/%E8%B3%87%E6%96%99/%E6%9C%80%E7%B5%82.psd"),
        ("a//b.png", "/a//b.png"),
        ("a*b.png", "/a*"),
        ("a?b.png", "/a%3Fb.png"),
        ("a#b.png", "/a%23b.png"),
        ("%20.png", "/%2520.png"),
        ("/a.png", "//a.png"),
        ("docs/", "/docs/"),
        ("./a/../b", "/./a/../b"),
        ('[slug]/{id}|<x>"^\\`', "/%5Bslug%5D/%7Bid%7D%7C%3Cx%3E%22%5E%5C%60"),
        ("a\tb\n\x00\x7f", "/a%09b%0A%00%7F"),
        ("🦊", "/%F0%9F%A6%8A"),
        ("資料/*", "/%E8%B3%87%E6%96%99/*"),
        ("a~*b*c", "/a%7E*"),
        ("*", "/*"),
    ],
)
def test_a_key_has_the_path_that_cloudfront_wants(key: str, path: str) -> None:
    """What users of such tools report as silently stale is named here, each with its path."""
    assert encode(key) == path


@given(plain_keys)
@example("")
@example("a%2Fb")
def test_a_path_leads_back_to_its_key(key: str) -> None:
    """No two keys without a star have one path, and none is made another key on its way."""
    assert decode(encode(key)) == key


@given(keys)
def test_only_what_must_be_is_encoded(key: str) -> None:
    """An over-encoded path succeeds and invalidates nothing."""
    path = encode(key)
    codes = unquote_to_bytes("".join(re.findall("%[0-9A-F]{2}", path)))
    assert not set(codes) & set(SAFE.encode())
    assert set(re.sub("%[0-9A-F]{2}", "", path)) <= set(SAFE + "*")


@given(st.sampled_from(SAFE))
def test_what_is_safe_stands_for_itself(character: str) -> None:
    """The viewer's address has it raw, and CloudFront compares the two as they are written."""
    assert encode(character) == f"/{character}"


@given(plain_keys, keys)
def test_a_star_makes_the_wildcard_that_ends_where_it_stands(before: str, after: str) -> None:
    """What is before the star is kept whole, so that as little as possible is thrown away."""
    path = encode(f"{before}*{after}")
    assert path == f"{encode(before)}*"
    with pytest.raises(NoSuchKeyPathError):
        decode(path)


def test_the_two_forms_of_an_accent_are_two_keys() -> None:
    """S3 compares bytes: a normalised key is another object's."""
    forms = [unicodedata.normalize(form, "éが") for form in ("NFC", "NFD")]
    assert [encode(form) for form in forms] == ["/%C3%A9%E3%81%8C", "/e%CC%81%E3%81%8B%E3%82%99"]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=1024).map(str.encode))
def test_every_key_that_s3_can_hold_has_a_path_that_fits(key: bytes) -> None:
    """1,024 bytes make 3,073 characters at most: what S3 holds is never cut."""
    whole = key[:1024].decode(errors="ignore")
    assert len(encode(whole)) <= 3_073 < MAX_CHARACTERS


def test_the_longest_key_is_named_exactly() -> None:
    """The bound is reached, and is no reason for a wildcard."""
    assert len(encode("é" * 512)) == 3_073
    assert decode(encode("é" * 512)) == "é" * 512


@given(st.integers(3_900, 4_100), st.sampled_from(["a", "é", "🦊", "%", "a資"]))
@example(3_999, "a")
@example(4_000, "a")
def test_a_path_that_is_too_long_is_cleared_by_the_longest_wildcard(size: int, text: str) -> None:
    """Nothing is lost to a limit, no code is cut in two, and no more is cleared than need be."""
    key = (text * size)[:size]
    path = encode(key)
    whole = "/" + quote(key, safe=SAFE)
    assert len(path) <= MAX_CHARACTERS
    if len(whole) <= MAX_CHARACTERS:
        assert path == whole
    else:
        assert path.endswith("*")
        assert whole.startswith(path[:-1])
        assert re.fullmatch("(?:[^%]|%[0-9A-F]{2})+", path)
        assert len(path) > MAX_CHARACTERS - 3
        with pytest.raises(NoSuchKeyPathError):
            decode(path)


@pytest.mark.parametrize(
    "path", ["", "a", "a.png", "/a b", "/%28", "/%e8%b3%87", "/%E8", "/%", "/*"]
)
def test_a_path_that_no_key_has_is_named(path: str) -> None:
    """Another spelling is another entry of the cache, and not this key's."""
    with pytest.raises(NoSuchKeyPathError):
        decode(path)


@given(keys)
def test_a_path_that_is_right_is_not_spelt_anew(key: str) -> None:
    """A text of the configuration is corrected where CloudFront would refuse it, and only there."""
    assert respelt(encode(key)) == encode(key)
    assert respelt("/資 ?a=b+c%20d%") == "/%E8%B3%87%20?a=b+c%20d%25"


def test_a_wildcard_too_long_stays_one() -> None:
    """It is cut like any path: one star, at the end."""
    assert fitted(f"/{'a' * 5_000}*") == f"/{'a' * 3_998}*"
