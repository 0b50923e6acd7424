"""The long-query guard on real servers: which waits are ended, and who is killed for it.

Whatever fails, no other writer waits half a second longer than the lock may, and no lock is left
behind.
"""

import time
from dataclasses import replace
from typing import Any

import pytest

from holdstill_agent import hold as hold_module
from holdstill_agent import locking
from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config
from holdstill_agent.database import Database
from holdstill_agent.errors import NoAnswerError
from holdstill_agent.guard import post_lookout
from holdstill_agent.hold import Hold
from holdstill_agent.locks import STRATEGIES
from holdstill_protocol.host_model import Failed, QuiesceHeld
from holdstill_protocol.messages import Lock
from lab.host.server import DatabaseServer
from tests.host.long_query.blocking import (
    LOCK_WRITE,
    LONG_SELECT,
    LONG_UPDATE,
    RUN,
    STALL_S,
    WAIT_S,
    Connected,
    await_write,
    on_orders,
    quiesce,
    refused_detail,
)
from tests.host.rivals import Stall, rival

pytestmark = pytest.mark.root


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the last look be just before the rival's statement, which then lasts."""
    monkeypatch.setattr(hold_module, "await_quiet", lambda *_: "")
    monkeypatch.setattr(locking, "require_quiet", lambda _: None)


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize("eased", [False, True])
def test_failed_lock_holds_writers_no_longer_than_its_wait(
    server: DatabaseServer, config: Config, monkeypatch: pytest.MonkeyPatch, eased: bool
) -> None:
    """It is given up, its culprit alone is named, and MySQL does not keep it."""
    if eased:  # the query came between FLUSH TABLES and FLUSH TABLES WITH READ LOCK
        ftwrl = replace(STRATEGIES[Lock.FTWRL], ease=())
        monkeypatch.setitem(STRATEGIES, Lock.FTWRL, ftwrl)
    blocks = LONG_SELECT if server.name == "mysql" else LONG_UPDATE
    with rival(server, *on_orders(blocks)) as session_id, Stall(server, ["other"]) as stall:
        began = time.monotonic()
        told = refused_detail(config)
        assert time.monotonic() - began > WAIT_S - 0.2
        await_write(server)
    assert f"session {session_id} (app): " in told
    assert told.count("session ") == 1, f"who waited behind the lock is no culprit: {told}"
    assert stall.longest_s["other"] < STALL_S
    assert stall.longest_s["other"] > WAIT_S - 0.2 or not (eased or server.name == "mariadb")


@pytest.mark.usefixtures("unseen", "may_kill")
def test_flush_that_failed_keeps_nobody_from_a_table(
    server: DatabaseServer, config: Config
) -> None:
    """MySQL would, until the reader ends: it is killed, where that is configured."""
    with rival(server, *on_orders(LONG_SELECT)), Stall(server, ["orders", "other"]) as stall:
        time.sleep(0.2)  # it is to be a second old when the lock is given up
        hold, _ = quiesce(replace(config, kill_queries_older_than_s=1))
        hold.disconnect()
    assert max(stall.longest_s.values()) < STALL_S


@pytest.mark.usefixtures("unseen")
def test_look_that_takes_too_long_leaves_no_lock_waiting(
    server: DatabaseServer, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session is of no use any more: the lock's is ended nevertheless."""
    ftwrl = replace(STRATEGIES[Lock.FTWRL], ease=())  # so that writers wait on MySQL too
    monkeypatch.setitem(STRATEGIES, Lock.FTWRL, ftwrl)
    hold = Hold(config, Connected)
    hold.preflight(RUN, monotonic_ms() + 5000, lambda _: True)
    assert hold._database
    # The server itself would give up later than the agent, as MySQL does where it waits thrice.
    hold._database.execute(f"SET SESSION lock_wait_timeout = {WAIT_S * 4}")
    monkeypatch.setattr(
        "holdstill_agent.lookout.find_blockers",
        lambda database, *_: database.execute("SELECT SLEEP(1)"),
    )
    blocks = LONG_SELECT if server.name == "mysql" else LONG_UPDATE
    with rival(server, *on_orders(blocks)), Stall(server, ["other"]) as stall:
        failed = hold.quiesce(RUN, monotonic_ms() + 15_000)
        await_write(server)
    assert isinstance(failed, Failed)
    assert "who was in the way could not be seen" in failed.detail
    assert WAIT_S - 0.2 < stall.longest_s["other"] < STALL_S


@pytest.mark.usefixtures("may_kill")
def test_old_query_is_killed_where_that_is_configured(
    server: DatabaseServer, config: Config
) -> None:
    """Its statement ends, its session does not; the kill is noted; the run goes on."""
    config = replace(config, kill_queries_older_than_s=1, quiet_patience_ms=8000)
    noted: list[tuple[str, Any]] = []
    hold = Hold(config, Connected, lambda name, **fields: noted.append((name, fields)))
    with rival(server, *on_orders(LONG_UPDATE)) as session_id:
        time.sleep(0.1)  # a younger statement is expected to end by itself
        began = time.monotonic()
        hold.preflight(RUN, monotonic_ms() + 5000, lambda _: True)
        held = hold.quiesce(RUN, monotonic_ms() + 15_000)
        assert isinstance(held, QuiesceHeld), held
        assert time.monotonic() - began < 4
        assert hold.release(RUN).intact
        with server.connect() as admin, admin.cursor() as cursor:
            cursor.execute("SHOW PROCESSLIST")
            assert session_id in {row[0] for row in cursor.fetchall()}
    ((name, fields),) = noted
    assert (name, fields["session_id"], fields["run_id"]) == ("query-killed", session_id, RUN)


@pytest.mark.usefixtures("may_kill")
def test_other_statement_of_the_same_session_is_not_killed(
    server: DatabaseServer, config: Config
) -> None:
    """What was seen has ended, and its session runs another by now: that one goes on."""
    lookout = post_lookout(config, Database.connect(config.option_file, 1))
    with rival(server, *on_orders(LONG_UPDATE)) as session_id:
        (blocker,) = lookout.look()
        assert blocker.session_id == session_id
        assert blocker.query_id
        lookout.kill(replace(blocker, query_id=blocker.query_id - 1))
        assert lookout.killed == []
        assert [one.query_id for one in lookout.look()] == [blocker.query_id]
        lookout.kill(blocker)
        assert lookout.killed == [blocker]
    lookout.close()


@pytest.mark.usefixtures("may_kill")
def test_locked_tables_are_nobodys_query(server: DatabaseServer, config: Config) -> None:
    """Whoever holds LOCK TABLES runs nothing that could be killed: it is named instead."""
    config = replace(config, kill_queries_older_than_s=1)
    with rival(server, *on_orders(LOCK_WRITE)) as session_id:
        time.sleep(1.1)
        assert f"session {session_id} (app)" in refused_detail(config)
        with server.connect() as admin, admin.cursor() as cursor:
            cursor.execute("SHOW PROCESSLIST")
            assert session_id in {row[0] for row in cursor.fetchall()}


def test_statement_that_hangs_does_not_keep_the_lock(
    server: DatabaseServer, config: Config
) -> None:
    """The server would end it in its own time, and only then see that its client is gone."""
    hold, held = quiesce(config)
    assert isinstance(held, QuiesceHeld)
    database = hold._database
    assert database
    database.answer_by(monotonic_ms() + 200)
    with pytest.raises(NoAnswerError):
        database.execute("SELECT SLEEP(60)")
    hold.disconnect()
    began = time.monotonic()
    await_write(server)
    assert time.monotonic() - began < 1
