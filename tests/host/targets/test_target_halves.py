"""Targets without a database or without a freeze, on the real agent process.

What is off is never held, what is on holds, and the best verdict says so.
"""

import psutil
import pymysql
import pytest

from functions.domain.verdict import Verdict, judge
from holdstill_protocol.conductor_model import CallOutcome, Evidence, Snapshot
from holdstill_protocol.messages import Freeze, Frozen, Lock, Prepared, Thaw, Thawed, ThawReason
from lab.host import DatabaseHost
from tests.host.conftest import VOLUME
from tests.host.freezing import Writer, is_frozen
from tests.host.targets.started import Start, prepared_run

pytestmark = [pytest.mark.root, pytest.mark.emulator]


def _verdict(prepared: Prepared, frozen: Frozen, thawed: Thawed) -> Verdict | None:
    """Judge the run as the conductor would, had its call returned in time."""
    evidence = Evidence(
        prepared=prepared,
        frozen=frozen,
        thawed=thawed,
        call=CallOutcome.RETURNED,
        snapshots=(Snapshot("snap-0123456789abcdef0", VOLUME),),
        returned_before_thaw=True,
    )
    return judge(evidence, prepared.volumes).verdict


def test_without_database_the_filesystem_alone_is_frozen(start: Start) -> None:
    """MySQL off: frozen without a session or a position, and the best verdict says so."""
    with start(lock="none") as agent:
        prepared = prepared_run(agent)
        assert (prepared.lock, prepared.freeze) == (Lock.NONE, True)
        assert _sessions(agent.host) == 0
        agent.command(Freeze)
        frozen = agent.reply()
        assert isinstance(frozen, Frozen), frozen
        assert frozen.position is None
        writer = Writer(agent.point)
        agent.command(Thaw)
        thawed = agent.thawed()
        writer.done_at(2)
        assert thawed.intact
        assert _verdict(prepared, frozen, thawed) is Verdict.FILESYSTEM_CONSISTENT


def test_without_freeze_the_database_alone_is_locked(start: Start) -> None:
    """Freeze off: no freezer, files can be written, rows cannot; and the best verdict says so."""
    with start(freeze=False) as agent:
        prepared = prepared_run(agent)
        assert (prepared.lock, prepared.freeze) == (Lock.FTWRL, False)
        assert psutil.Process(agent.process.pid).children() == []
        agent.command(Freeze)
        frozen = agent.reply()
        assert isinstance(frozen, Frozen), frozen
        assert frozen.position is not None
        assert frozen.position.file
        assert not is_frozen(agent.point)
        assert not _row_can_be_written(agent.host)
        agent.command(Thaw)
        thawed = agent.thawed()
        assert thawed.intact
        assert _row_can_be_written(agent.host)
        assert _verdict(prepared, frozen, thawed) is Verdict.LOCK_CONSISTENT


def test_without_freeze_the_budget_still_ends_the_lock(start: Start) -> None:
    """A lost thaw costs the backup alone, also where there is no freezer to keep time."""
    with start(freeze=False, budget_s=1) as agent:
        prepared_run(agent)
        agent.command(Freeze)
        assert isinstance(agent.reply(), Frozen)
        assert agent.thawed().reason is ThawReason.DEADLINE
        assert _row_can_be_written(agent.host)


def _row_can_be_written(host: DatabaseHost) -> bool:
    with host.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION lock_wait_timeout = 1")
        try:
            cursor.execute("CREATE OR REPLACE TABLE test_held.written (id INT)")
        except pymysql.OperationalError:
            return False
    return True


def _sessions(host: DatabaseHost) -> int:
    """Return how many sessions the agent's account has."""
    with host.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE USER = 'holdstill'"
        )
        (count,) = cursor.fetchone() or (0,)
    return int(count)
