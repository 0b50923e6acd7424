"""What is asked for by hand becomes rows, or faults and nothing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.hand_request import (
    HandRequest,
    HandRequestError,
    further_rows,
    has_other_addresses,
    paths_sent,
    rows_by_hand,
)
from functions.domain.path_prices import FREE_PATHS, fee_of
from functions.domain.paths import Path
from functions.domain.site import Site, paths_of
from functions.domain.uploads import Kind
from functions.domain.waiting import Waiting
from tests.twins.clock import EPOCH
from tests.twins.deployed import CALLER, SHOP, STATIC


def rows(
    site: Site, *keys: str, prefixes: tuple[str, ...] = (), everything: bool = False
) -> tuple[Waiting, ...]:
    """Return the rows of a request that is good."""
    return rows_by_hand(site, HandRequest(keys, prefixes, everything), EPOCH, CALLER)


def texts(found: tuple[Waiting, ...], distribution: str) -> list[str]:
    """Return the paths of one distribution's rows."""
    return [row.path.text for row in found if row.distribution == distribution]


def faults(site: Site, request: HandRequest) -> tuple[str, ...]:
    """Return why a request is refused."""
    with pytest.raises(HandRequestError) as refused:
        rows_by_hand(site, request, EPOCH, CALLER)
    return refused.value.faults


def test_a_key_clears_what_an_upload_of_it_would_on_every_distribution() -> None:
    """Its index document's address and its extra paths as well; and it tells who asked."""
    found = rows(STATIC, "docs/index.html")
    for distribution in STATIC.distributions:
        assert texts(found, distribution) == ["/docs/index.html", "/docs/", "/docs/index"]
    assert {row.path for row in found} == set(paths_of(STATIC, "docs/index.html"))
    assert {row.asked_by for row in found} == {CALLER}
    assert {(row.change.kind, row.change.at) for row in found} == {(Kind.ASKED, EPOCH)}


@given(st.lists(st.sampled_from(["a b.png", "a.map", "a*b", "site/x", "assets/1", "ü", ""])))
def test_one_bad_key_and_there_are_no_rows(keys: list[str]) -> None:
    """There is a fault for each bad key, or a row for each good one; never some of both."""
    bad = {key for key in keys if key in ("a.map", "assets/1", "")}
    request = HandRequest(tuple(keys))
    if bad:
        assert {fault.split(" ")[0] for fault in faults(STATIC, request)} == set(map(repr, bad))
    else:
        found = rows_by_hand(STATIC, request, EPOCH, CALLER)
        assert {row.change.key for row in found} == set(keys)


def test_a_fault_says_why_and_what_would_be_right() -> None:
    """Outside of the origin path, ignored, no key at all."""
    (outside,) = faults(SHOP, HandRequest(("sitemap.xml",)))
    assert "outside of the origin path /site" in outside
    assert outside.endswith("Did you mean site/sitemap.xml?")
    assert "is empty: --all" in faults(STATIC, HandRequest(prefixes=("",)))[0]
    (ignored,) = faults(STATIC, HandRequest(("js/app.js.map",)))
    assert 'ignore has "**/*.map"' in ignored
    assert "no object" in faults(STATIC, HandRequest(("",)))[0]
    assert "1,026 bytes" in faults(STATIC, HandRequest(("ü" * 513,)))[0]
    assert "not UTF-8" in faults(STATIC, HandRequest(("a\udcff",)))[0]
    assert "outside" in faults(SHOP, HandRequest(prefixes=("img/",)))[0]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("/site/a.png", "site/a.png"),
        ("/a.png", "site/a.png"),
        ("site", "site/"),
        ("/site", "site/"),
        ("sites/a.png", "site/sites/a.png"),
        ("/", "site/"),
    ],
)
def test_what_would_be_right_has_the_origin_path_once(typed: str, meant: str) -> None:
    """Of a KEY and of a prefix; and it is taken when it is typed."""
    for request in (HandRequest((typed,)), HandRequest(prefixes=(typed,))):
        assert faults(SHOP, request)[0].endswith(f"Did you mean {meant}?")
    assert rows(SHOP, meant, prefixes=(meant,))


@pytest.mark.parametrize(
    ("site", "prefix", "path"),
    [
        (STATIC, "img/a b", "/img/a%20b*"),
        (STATIC, "資", "/%E8%B3%87*"),
        (STATIC, "a*b", "/a*"),
        (SHOP, "site/", "/*"),
        (SHOP, "site/img/", "/img/*"),
    ],
)
def test_a_prefix_is_a_wildcard_below_the_origin_path(site: Site, prefix: str, path: str) -> None:
    """Encoded as keys are, with its reason."""
    found = rows(site, prefixes=(prefix,))
    assert {row.path.text for row in found} == {path}
    assert len(found) == len(site.distributions)
    assert all(f"begins with {prefix}" in row.path.reason for row in found)


def test_everything_is_one_wildcard_on_each_distribution() -> None:
    """Whatever is ignored."""
    found = rows(STATIC, everything=True)
    assert [(row.distribution, row.path.text) for row in found] == [
        ("E1EXAMPLE", "/*"),
        ("E2EXAMPLE", "/*"),
    ]


def test_what_a_wildcard_clears_is_not_sent_beside_it() -> None:
    """A wildcard counts as one path; two alike are one."""
    found = rows(STATIC, "img/a", "img/a", "b", prefixes=("img/", "img/x"))
    assert [path.text for path in paths_sent(found)] == ["/b", "/img/*"]


def test_the_other_addresses_of_what_a_prefix_hits_are_cleared_too() -> None:
    """`/docs/in*` does not clear `/docs/`; what it does clear makes no row."""
    found = rows(STATIC, prefixes=("docs/in",))
    more = further_rows(STATIC, found, ["docs/index.html", "docs/in.png"], EPOCH, CALLER)
    assert texts(more, "E1EXAMPLE") == ["/docs/"]
    assert {row.asked_by for row in more} == {CALLER}
    assert further_rows(STATIC, rows(STATIC, everything=True), ["a.html"], EPOCH, CALLER) == ()


parts = st.lists(st.sampled_from(["docs", "/", "in", "index.html", "a", "*", "b.html"]), max_size=6)


@given(parts, parts, st.booleans())
def test_what_needs_no_listing_has_no_other_addresses(
    beginning: list[str], rest: list[str], ruled: bool
) -> None:
    """Whatever is below such a prefix, its wildcard clears every address of it."""
    site = STATIC if ruled else replace(STATIC, extra_paths=())
    prefix = "".join(beginning)
    if prefix and not has_other_addresses(site, prefix):
        asked = rows(site, prefixes=(prefix,))
        assert further_rows(site, asked, [prefix + "".join(rest)], EPOCH, CALLER) == ()


def test_other_addresses_are_looked_for_where_there_may_be_some() -> None:
    """Of a rule any key's, of an index document its folder's; not below what clears everything."""
    plain = replace(STATIC, extra_paths=())
    for site, prefix in ((STATIC, "img/"), (plain, "docs/in"), (plain, "i")):
        assert has_other_addresses(site, prefix)
    for site, prefix in ((plain, "docs/"), (plain, "docs/a"), (SHOP, "site/i")):
        assert not has_other_addresses(site, prefix)
    assert not has_other_addresses(replace(STATIC, origin_path="/site"), "site/")


def test_asking_at_another_time_makes_another_row() -> None:
    """An invalidation that was asked for before covers nothing of what is asked for now."""
    row = rows(STATIC, "a")[0]
    later = replace(row, change=replace(row.change, at=EPOCH.replace(minute=1)))
    assert row.row_id < later.row_id
    assert row.path == Path("/a")


def test_the_free_paths_come_first() -> None:
    """Only what is beyond them costs."""
    assert fee_of(3, 0).usd == 0
    fee = fee_of(30, FREE_PATHS - 10)
    assert fee.free_left == 10
    assert fee.usd == pytest.approx(0.1)
    assert fee_of(2, FREE_PATHS + 5).usd == pytest.approx(0.01)
