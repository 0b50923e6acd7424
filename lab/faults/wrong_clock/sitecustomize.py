"""The wall clock of a Python process, wrong by as much as it is told; the monotonic one is right.

Python imports this module at its start from a folder on PYTHONPATH, before the program, which
knows nothing of it. `LAB_WALL_CLOCK_AHEAD_S` says by how much (negative: behind); `ahead_s` can be
changed later, for a process that forks.

libfaketime would do it for any program, but 0.9.10 (Debian 12, Ubuntu 24.04) takes Python's
`time.sleep` for a sleep until a wall clock's instant: it raises EINVAL.
"""

# ruff: noqa: INP001  its folder is on PYTHONPATH, and no package

import datetime as dt
import os
import time

ahead_s = float(os.environ.get("LAB_WALL_CLOCK_AHEAD_S", "0"))

_time, _time_ns = time.time, time.time_ns
_gmtime, _localtime, _strftime = time.gmtime, time.localtime, time.strftime
_datetime = dt.datetime


class WrongDatetime(_datetime):
    """A datetime whose `now` is wrong."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> "WrongDatetime":
        """Return the wrong time in a time zone; naive in the local one without."""
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> "WrongDatetime":
        """Return the wrong time in UTC, naive."""
        return cls.now(dt.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> "WrongDatetime":
        """Return the wrong local time, naive."""
        return cls.now()


def _falsify() -> None:
    """Take the place of whatever of the standard library reads the wall clock."""
    time.time = lambda: _time() + ahead_s
    time.time_ns = lambda: _time_ns() + round(ahead_s * 1e9)
    time.gmtime = lambda seconds=None: _gmtime(time.time() if seconds is None else seconds)
    time.localtime = lambda seconds=None: _localtime(time.time() if seconds is None else seconds)
    time.strftime = lambda form, at=None: _strftime(form, at or time.localtime())
    dt.datetime = WrongDatetime  # type: ignore[misc]


_falsify()
