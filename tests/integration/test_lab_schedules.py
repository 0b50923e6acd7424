"""When a schedule is due: MiniStack's own parsers, AWS's time zones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from ministack.services import eventbridge, scheduler

from lab.schedules import Ticker, substitute

pytestmark = pytest.mark.emulator

ticker = Ticker(scheduler, eventbridge)


def due(expression: str, zone: str, last: datetime, *, first: bool = True) -> datetime | None:
    """Return a schedule's next time after `last`."""
    schedule: dict[str, Any] = {
        "ScheduleExpression": expression,
        "ScheduleExpressionTimezone": zone,
    }
    return ticker.due(schedule, last, first=first)


def test_a_cron_schedule_is_in_its_own_zone() -> None:
    """03:00 in Tokyo is 18:00 UTC of the day before."""
    at = due("cron(0 3 * * ? *)", "Asia/Tokyo", datetime(2026, 11, 25, 12, tzinfo=UTC))
    assert at == datetime(2026, 11, 25, 18, tzinfo=UTC)


def test_a_cron_schedule_follows_summer_time() -> None:
    """03:00 in Berlin is 02:00 UTC in winter and 01:00 in summer."""
    winter = due("cron(0 3 * * ? *)", "Europe/Berlin", datetime(2026, 1, 10, 12, tzinfo=UTC))
    summer = due("cron(0 3 * * ? *)", "Europe/Berlin", datetime(2026, 7, 10, 12, tzinfo=UTC))
    assert winter == datetime(2026, 1, 11, 2, tzinfo=UTC)
    assert summer == datetime(2026, 7, 11, 1, tzinfo=UTC)


def test_a_one_time_schedule_has_one_time() -> None:
    """It is due at its time, also when that is past, and never again."""
    now = datetime(2026, 11, 25, tzinfo=UTC)
    assert due("at(2026-11-24T09:00:00)", "Asia/Tokyo", now) == datetime(2026, 11, 24, tzinfo=UTC)
    assert due("at(2026-11-24T09:00:00)", "Asia/Tokyo", now, first=False) is None


def test_the_input_says_the_scheduled_time_as_aws_does() -> None:
    """Every context attribute is replaced, the time in UTC with a Z."""
    text = "<aws.scheduler.scheduled-time> <aws.scheduler.attempt-number> <aws.scheduler.other>"
    at = datetime(2026, 11, 25, 3, tzinfo=UTC)
    filled = substitute(text, schedule_arn="arn", scheduled_at=at, execution_id="id")
    assert filled == "2026-11-25T03:00:00Z 1 <aws.scheduler.other>"
