"""What a visitor sees through the lab's edge: the old object, until an invalidation names it."""

from __future__ import annotations

import threading
import time
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from lab.edge import process
from tests.integration.edge_site import ID, WITHIN_S, Bucket, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.edge.process import Edge

OTHER = "E2EXAMPLE"


@pytest.fixture(scope="module")
def running_edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """Start the program once."""
    edge = process.start(tmp_path_factory.mktemp("edge"))
    try:
        edge.wait()
        yield edge
    finally:
        edge.child.stop()


@pytest.fixture
def site(running_edge: Edge) -> Iterator[Site]:
    """Return a site with an empty bucket."""
    Bucket.objects, Bucket.asked, Bucket.held = {}, [], threading.Event()
    Bucket.held.set()
    with ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as origin:
        threading.Thread(target=origin.serve_forever, args=[0.01], daemon=True).start()
        running_edge.reset()
        running_edge.control(effect_s=0.1, throttling=False)
        site = Site(running_edge, f"http://127.0.0.1:{origin.server_port}")
        site.deploy()
        yield site
        Bucket.held.set()
        origin.shutdown()


def test_an_object_is_asked_for_once(site: Site) -> None:
    """Then it is a hit with an age and the origin's headers, whatever the bucket has by now."""
    Bucket.objects["a.png"] = b"old"
    status, body, headers = site.visit("/a.png")
    assert (status, body, headers["x-cache"]) == (200, b"old", "Miss from cloudfront")
    assert "age" not in headers
    Bucket.objects["a.png"] = b"new"
    status, body, headers = site.visit("/a.png?v=2")
    assert (status, body, headers["x-cache"]) == (200, b"old", "Hit from cloudfront")
    assert int(headers["age"]) < WITHIN_S
    assert headers["content-type"] == "image/png"
    assert site.visit("/a.png", method="HEAD")[:2] == (200, b"")
    assert Bucket.asked == ["/example/a.png"]


HARD_NAMES = [
    ("a b.png", "/a%20b.png", "/a%20b.png"),
    ("a+b.png", "/a%2Bb.png", "/a%2Bb.png"),
    ("100%.png", "/100%25.png", "/100%25.png"),
    ("img (1).png", "/img%20(1).png", "/img%20(1).png"),
    ("runtime~main.js", "/runtime~main.js", "/runtime%7Emain.js"),
    ("file[1].png", "/file[1].png", "/file%5B1%5D.png"),
    ("資.psd", "/%E8%B3%87.psd", "/%E8%B3%87.psd"),
    ("a//b.png", "/a//b.png", "/a//b.png"),
    ("/b.png", "//b.png", "//b.png"),
    ("a*b.png", "/a*b.png", "/a*"),
]


def test_hard_names_become_fresh_by_their_documented_paths(site: Site) -> None:
    """Each key as a browser asks for it, and the one spelling that clears it."""
    for key, target, _ in HARD_NAMES:
        Bucket.objects[key] = b"old"
        assert site.body(target) == b"old", key
        Bucket.objects[key] = b"new"
    assert {site.body(target) for _, target, _ in HARD_NAMES} == {b"old"}
    site.invalidate(*(path for _, _, path in HARD_NAMES))
    assert {site.body(target) for _, target, _ in HARD_NAMES} == {b"new"}


def test_an_over_encoded_path_succeeds_and_clears_nothing(site: Site) -> None:
    """What every second tool gets wrong must be seen in the lab."""
    Bucket.objects |= {"img (1).png": b"old", "docs/index.html": b"old"}
    assert site.body("/img%20(1).png") == site.body("/docs/index.html") == b"old"
    site.invalidate("/img%20%281%29.png", "/docs%2Findex.html", "/docs/", "/docs/Index.html")
    assert site.cache("/img%20(1).png") == site.cache("/docs/index.html") == "Hit from cloudfront"


def test_a_wildcard_clears_what_begins_with_it(site: Site) -> None:
    """Whatever else is cached stays, and it is counted what was thrown away."""
    keys = ["docs/a", "docs/2026/a", "docs", "Docs/a", "b"]
    for key in keys:
        Bucket.objects[key] = b"old"
        site.visit(f"/{key}")
    site.invalidate("/docs/*")
    dropped = site.edge.state()["distributions"][ID]["dropped"]
    stale = [key for key in keys if site.cache(f"/{key}") == "Hit from cloudfront"]
    assert (dropped, stale) == (2, ["docs", "Docs/a", "b"])


def test_a_repeated_call_clears_nothing_again(site: Site) -> None:
    """It is the first invalidation that comes back: what was cached since then stays."""
    Bucket.objects["a"] = b"old"
    site.visit("/a")
    site.invalidate("/a", reference="r")
    site.visit("/a")
    site.invalidate("/a", reference="r")
    assert site.cache("/a") == "Hit from cloudfront"


def test_an_invalidation_takes_its_time(site: Site) -> None:
    """Until it takes effect the visitor has the old object, and completion is later still."""
    site.edge.control(effect_s=0.5, completion_s=60)
    Bucket.objects["a"] = b"old"
    site.visit("/a")
    Bucket.objects["a"] = b"new"
    began = time.monotonic()
    designer = threading.Thread(target=site.invalidate, args=["/a"])
    designer.start()
    while site.body("/a") == b"old":
        assert time.monotonic() - began < WITHIN_S
        time.sleep(0.02)
    assert time.monotonic() - began >= 0.5
    designer.join()
    assert site.edge.state()["distributions"][ID]["in_progress"] == {"exact": 1, "wildcards": 0}


def test_an_answer_on_its_way_is_invalidated_too(site: Site) -> None:
    """Asked of the bucket before the effect: the visitor gets it, the cache does not."""
    Bucket.objects["a"] = b"old"
    Bucket.held.clear()
    got: list[bytes] = []
    visitor = threading.Thread(target=lambda: got.append(site.body("/a")))
    visitor.start()
    while not Bucket.asked:
        time.sleep(0.01)
    Bucket.objects["a"] = b"new"
    site.invalidate("/a")
    assert site.edge.state()["distributions"][ID]["dropped"] == 0
    Bucket.held.set()
    visitor.join()
    assert (got, site.body("/a")) == ([b"old"], b"new")


def test_a_missing_object_is_missing_for_a_while(site: Site) -> None:
    """An error is cached too: a new key may need an invalidation."""
    site.deploy(error_ttl_s=60)
    assert site.visit("/new.png")[0] == 404
    Bucket.objects["new.png"] = b"new"
    status, _, headers = site.visit("/new.png")
    assert (status, headers["x-cache"]) == (404, "Error from cloudfront")
    site.invalidate("/new.png")
    assert site.visit("/new.png")[:2] == (200, b"new")
    site.deploy(error_ttl_s=0.2)
    assert site.visit("/newer.png")[0] == 404
    Bucket.objects["newer.png"] = b"newer"
    time.sleep(0.2)
    assert site.body("/newer.png") == b"newer"


def test_the_root_and_the_index_are_entries_of_their_own(site: Site) -> None:
    """One object, two URIs, two paths."""
    site.deploy(default_root_object="index.html")
    Bucket.objects["index.html"] = b"old"
    assert site.body("/") == site.body("/index.html") == b"old"
    Bucket.objects["index.html"] = b"new"
    site.invalidate("/index.html")
    assert (site.body("/"), site.body("/index.html")) == (b"old", b"new")
    site.invalidate("/")
    assert site.body("/") == b"new"


def test_a_folder_and_its_index_are_entries_of_their_own(site: Site) -> None:
    """With an origin that shows a folder's index, as a bucket's website endpoint does."""
    site.deploy(folder_index="index.html")
    Bucket.objects |= {"index.html": b"root", "docs/index.html": b"old"}
    assert site.body("/") == b"root"
    assert site.body("/docs/?v=2") == site.body("/docs/index.html") == b"old"
    Bucket.objects["docs/index.html"] = b"new"
    site.invalidate("/docs/index.html")
    assert (site.body("/docs/"), site.body("/docs/index.html")) == (b"old", b"new")
    site.invalidate("/docs/")
    assert site.body("/docs/") == b"new"


def test_the_origin_path_is_the_edges_own_affair(site: Site) -> None:
    """Visitors and paths do not know it, the bucket does."""
    site.deploy(origin_path="/site")
    Bucket.objects["site/a.png"] = b"old"
    assert site.body("/a.png") == b"old"
    site.invalidate("/site/a.png")
    assert site.cache("/a.png") == "Hit from cloudfront"
    site.invalidate("/a.png")
    assert site.cache("/a.png") == "Miss from cloudfront"


def test_query_strings_can_be_part_of_what_is_cached(site: Site) -> None:
    """Then each is an entry, the origin sees it, and the plain path clears none of them."""
    site.deploy(query_strings=True)
    Bucket.objects["a"] = b"old"
    targets = ["/a?v=1", "/a?v=2"]
    for target in targets:
        assert site.cache(target) == "Miss from cloudfront"
    assert Bucket.asked == ["/example/a?v=1", "/example/a?v=2"]
    site.invalidate("/a")
    assert {site.cache(target) for target in targets} == {"Hit from cloudfront"}
    site.invalidate("/a?v=1")
    assert [site.cache(target) for target in targets] == [
        "Miss from cloudfront",
        "Hit from cloudfront",
    ]
    site.invalidate("/a*")
    assert {site.cache(target) for target in targets} == {"Miss from cloudfront"}


def test_the_other_readings_of_the_guide_can_be_had(site: Site) -> None:
    """A product may be tried against the worse of both."""
    site.deploy(encodings="as-sent", wildcards="folder")
    Bucket.objects |= {"runtime~main.js": b"old", "docs/2026/a": b"old"}
    targets = ["/runtime~main.js", "/docs/2026/a"]
    assert {site.body(target) for target in targets} == {b"old"}
    site.invalidate("/runtime%7Emain.js", "/docs/*")
    assert {site.cache(target) for target in targets} == {"Hit from cloudfront"}
    site.invalidate("/runtime*", "/docs*")
    assert {site.cache(target) for target in targets} == {"Miss from cloudfront"}


def test_distributions_do_not_share_a_cache(site: Site) -> None:
    """Two before one bucket, in one process: an invalidation of one is not the other's."""
    Bucket.objects["a"] = b"old"
    site.deploy(id=OTHER)
    site.visit("/a")
    site.deploy()
    site.visit("/a")
    site.invalidate("/a")
    assert site.cache("/a") == "Miss from cloudfront"
    entries = {name: one["dropped"] for name, one in site.edge.state()["distributions"].items()}
    assert entries == {ID: 1, OTHER: 0}


def test_a_bucket_that_is_away_is_a_502(site: Site) -> None:
    """For as long as an error is cached."""
    site.deploy(origin_url="http://127.0.0.1:1")
    status, _, headers = site.visit("/a")
    assert (status, headers["x-cache"]) == (502, "Error from cloudfront")
