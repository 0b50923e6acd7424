"""The laws of what Holdstill wants of a bucket, and of how it remembers what it holds there."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain import notified_buckets
from functions.domain.notified_buckets import Held, Hold, OtherRegionError, Wanted, WantedError
from functions.domain.site import EventSource, Site
from tests.unit.functions.bucket_notifications.notified_stack import BUCKET, QUEUE


def site(origin_path: str = "", events: EventSource = EventSource.S3) -> Site:
    """Return a site of the one bucket."""
    return Site("x", BUCKET, ("E1EXAMPLE",), origin_path, events=events)


@given(st.lists(st.text("ab/ (é", max_size=5), min_size=1, max_size=4))
def test_every_key_of_a_site_has_one_of_the_prefixes(origins: list[str]) -> None:
    """No upload to a site's origin path is filtered out, and no prefix covers another."""
    sites = [
        site("/" + "/".join(part for part in origin.split("/") if part) if origin else "")
        for origin in origins
    ]
    prefixes = notified_buckets.prefixes(sites)
    for each in sites:
        assert f"{each.origin_path}/k".lstrip("/").startswith(prefixes)
    for one, two in itertools.permutations(prefixes, 2):
        assert not one.startswith(two)


def test_the_prefixes_are_the_fewest() -> None:
    """A folder within another's needs no prefix; the whole bucket needs none at all."""
    assert notified_buckets.prefixes([site("/a"), site("/a/b"), site("/ab")]) == ("a/", "ab/")
    assert notified_buckets.prefixes([site("/a"), site()]) == ("",)
    assert notified_buckets.prefixes([site("/site (1)/x")]) == ("site",)


def test_one_site_that_asks_for_eventbridge_decides_for_its_bucket() -> None:
    """A bucket whose notifications are taken is taken for all of its sites."""
    both = Wanted.of([site("/a"), site("/b", EventSource.EVENTBRIDGE)], QUEUE)
    assert both.events is EventSource.EVENTBRIDGE
    assert Wanted.from_properties(both.to_properties()) == both
    with pytest.raises(WantedError):
        Wanted.from_properties({**both.to_properties(), "Events": "sns"})


@pytest.mark.parametrize("hold", list(Hold))
def test_what_is_held_is_told_by_its_id(hold: Hold) -> None:
    """CloudFormation keeps the only memory there is; of other ids nothing is believed."""
    held = Held(BUCKET, hold)
    assert Held.parse(str(held)) == held
    assert Held.parse(f"x{held}") is None
    assert Held.parse(f"{held}x") is None
    assert Held.parse("holdstill-uploads-Notifications-1ABC") is None


def test_a_bucket_of_another_region_is_refused_with_both_regions_and_a_way_out() -> None:
    """EventBridge would be taken there, and its events never leave the bucket's Region."""
    notified_buckets.refuse_other_region(BUCKET, "eu-west-1", "eu-west-1")
    with pytest.raises(OtherRegionError) as caught:
        notified_buckets.refuse_other_region(BUCKET, "eu-west-1", "ap-northeast-1")
    assert f"{BUCKET}: it is in eu-west-1" in str(caught.value)
    assert "this stack in ap-northeast-1" in str(caught.value)
    assert "deploy its sites in eu-west-1" in str(caught.value)
