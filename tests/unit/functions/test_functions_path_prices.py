"""What a path costs: nothing while the month's free ones last, then the fee, up to a site's cap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.coalescing import Coalescing
from functions.domain.path_prices import FEE_USD, path_price, prices
from tests.unit.functions.changed_paths import AMPLE, waiting


@given(used=st.integers(0, 3_000), elapsed=st.floats(0, 1))
def test_paths_are_free_while_the_month_will_be(used: int, elapsed: float) -> None:
    """Nothing while the projection stays within the free paths, else the whole fee."""
    price = path_price(used, elapsed)
    assert price in (0.0, FEE_USD)
    if used > 1_000:
        assert price == FEE_USD
    if elapsed > 1 / 30:
        assert (price == 0.0) == (used / elapsed <= 1_000)


def test_the_first_minute_of_a_month_is_not_projected() -> None:
    """One path just after midnight does not make a month of millions."""
    assert path_price(1, 0.0) == 0.0
    assert path_price(33, 0.0) == 0.0
    assert path_price(34, 0.0) == FEE_USD


def test_a_cap_of_nothing_is_not_spent_while_paths_are_free() -> None:
    """Whatever the month's first day projects; with the first that is paid for it is."""
    free = prices(used_this_month=1_000, month_elapsed=0.0, spent_usd=0.0, cap_usd=0.0)
    paid = prices(used_this_month=1_001, month_elapsed=0.0, spent_usd=0.0, cap_usd=0.0)
    assert (free.cap_spent, paid.cap_spent) == (False, True)
    assert free.path_usd == paid.path_usd == FEE_USD


def test_with_its_cap_spent_a_site_takes_any_wildcard_that_can_be_counted() -> None:
    """However much it throws away, but for many; without a cap nothing is ever spent."""
    capped = prices(used_this_month=5_000, month_elapsed=0.5, spent_usd=10.0, cap_usd=10.0)
    uncapped = prices(used_this_month=5_000, month_elapsed=0.5, spent_usd=1e6, cap_usd=None)
    changed = waiting("/a/1", "/a/2", "/b/1", "/b/2")
    counts = {"/": None, "/a/": 100_000, "/b/": None}
    plan = Coalescing(changed, capped, AMPLE).plan(counts)
    assert [wildcard.path for wildcard in plan.wildcards] == ["/a/*"]
    assert plan.usd == pytest.approx(3 * FEE_USD)
    assert not Coalescing(changed, uncapped, AMPLE).plan(counts).wildcards
