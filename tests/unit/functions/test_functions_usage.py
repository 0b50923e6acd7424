"""What a month has cost each site."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from functions.domain.usage import month_elapsed, spent_usd


@pytest.mark.parametrize(
    ("now", "elapsed"),
    [
        (datetime(2026, 11, 1, tzinfo=UTC), 0),
        (datetime(2026, 11, 16, tzinfo=UTC), 0.5),
        (datetime(2026, 2, 15, tzinfo=UTC), 0.5),
        (datetime(2026, 12, 1, 3, tzinfo=timezone(timedelta(hours=9))), (30 * 24 - 6) / 720),
    ],
)
def test_the_month_is_that_of_utc(now: datetime, elapsed: float) -> None:
    """The free paths begin anew with the bill's month, wherever the clock hangs."""
    assert month_elapsed(now) == pytest.approx(elapsed)


def test_nobody_has_spent_anything_while_paths_are_free() -> None:
    """A thousand of the account's are free."""
    assert spent_usd("shop", {"shop": 900, "blog": 100}) == 0
    assert spent_usd("shop", {}) == 0


def test_the_fee_is_shared_by_use() -> None:
    """1,000 paid paths are 5 USD: to each site its part of all 2,000 paths."""
    used = {"shop": 1_500, "blog": 500}
    assert spent_usd("shop", used) == pytest.approx(3.75)
    assert spent_usd("blog", used) == pytest.approx(1.25)
    assert spent_usd("none", used) == 0
