"""When a schedule of EventBridge Scheduler is due, and the input it then sends.

MiniStack ignores a schedule's time zone and leaves `<aws.scheduler.*>` as it is; this takes the
place of its tick, and reuses its parsers.
"""

# ruff: noqa: SLF001  MiniStack's parsers and state have no public names

import contextlib
import logging
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

_log = logging.getLogger("lab.schedules")


def substitute(text: str, *, schedule_arn: str, scheduled_at: datetime, execution_id: str) -> str:
    """Return a target's input with Scheduler's context attributes filled in, as AWS writes them."""
    attributes = {
        "schedule-arn": schedule_arn,
        "scheduled-time": scheduled_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "execution-id": execution_id,
        "attempt-number": "1",
    }
    for name, value in attributes.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


class Ticker:
    """Fires what has become due since the tick before."""

    def __init__(self, scheduler: ModuleType, eventbridge: ModuleType) -> None:
        self._scheduler = scheduler
        self._eventbridge = eventbridge
        self._last: dict[tuple[Any, float], datetime] = {}
        """(the schedule's key, when it was last modified) -> the time up to which it was fired:
        so an updated schedule starts anew, and a one-time one can fire again."""

    def tick(self) -> None:
        """Fire each enabled schedule that is due, once for each time."""
        now = datetime.fromtimestamp(time.time(), UTC)
        for key, schedule in list(self._scheduler._schedules._data.items()):
            if schedule.get("State") != "ENABLED":
                continue
            mark = (key, schedule["LastModificationDate"])
            modified = datetime.fromtimestamp(schedule["LastModificationDate"], UTC)
            due = self.due(schedule, self._last.get(mark, modified), first=mark not in self._last)
            if due is None or due > now or not self._within(schedule, due):
                continue
            self._last[mark] = max(due, now if self._is_cron(schedule) else due)
            self._fire(key, schedule, due)

    def due(self, schedule: Mapping[str, Any], last: datetime, *, first: bool) -> datetime | None:
        """Return the next time of a schedule after `last`; None when there is none.

        A one-time schedule has one time, which may be past at its creation: it then fires at once.
        """
        zone = ZoneInfo(schedule.get("ScheduleExpressionTimezone") or "UTC")
        expression = schedule["ScheduleExpression"].strip()
        if expression.startswith("at("):
            at = datetime.fromisoformat(expression[3:-1]).replace(tzinfo=zone)
            return at if first else None
        seconds = self._eventbridge._parse_rate_seconds(expression)
        if seconds is not None:
            return last + timedelta(seconds=seconds)
        fields = self._eventbridge._parse_cron_fields(expression)
        found: datetime | None = None
        if fields is not None:
            found = self._eventbridge._cron_next_fire(fields, last.astimezone(zone))
        return found

    @staticmethod
    def _is_cron(schedule: Mapping[str, Any]) -> bool:
        return str(schedule["ScheduleExpression"]).startswith("cron(")

    def _within(self, schedule: Mapping[str, Any], due: datetime) -> bool:
        start, end = (self._scheduler._to_epoch(schedule.get(f)) for f in ("StartDate", "EndDate"))
        return (start is None or due.timestamp() >= start) and (
            end is None or due.timestamp() <= end
        )

    def _fire(self, key: Any, schedule: Mapping[str, Any], due: datetime) -> None:
        account, region, _ = key
        self._scheduler.set_request_account_id(account)
        self._scheduler.set_request_region(region)
        target = dict(schedule["Target"])
        execution_id = str(uuid.uuid4())
        if "Input" in target:
            target["Input"] = substitute(
                target["Input"],
                schedule_arn=schedule["Arn"],
                scheduled_at=due,
                execution_id=execution_id,
            )
        event = {
            "EventId": execution_id,
            "Source": "aws.scheduler",
            "DetailType": "Scheduled Event",
            "Detail": "{}",
            "Time": due.timestamp(),
            "Resources": [schedule["Arn"]],
            "Account": account,
            "Region": region,
        }
        _log.info("schedule_fired name=%s scheduled_at=%s", schedule["Name"], due.isoformat())
        self._eventbridge._invoke_target(target, event, schedule)
        if schedule.get("ActionAfterCompletion") == "DELETE" and not self._recurs(schedule):
            with contextlib.suppress(KeyError):
                del self._scheduler._schedules._data[key]

    @staticmethod
    def _recurs(schedule: Mapping[str, Any]) -> bool:
        return not str(schedule["ScheduleExpression"]).startswith("at(")
