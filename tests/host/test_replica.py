"""A backup on a real replica: its source's coordinates in the copy are true, and it goes on after.

Proven by a new replica that is made from the copy: it starts at those coordinates and ends with
every row of the source, none twice.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdstill_agent.blockers import Blocker
from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config
from holdstill_agent.database import Database
from holdstill_agent.hold import Hold
from holdstill_agent.lookout import Lookout
from holdstill_agent.quiet_moment import await_quiet
from holdstill_agent.replica import read_channels
from holdstill_agent.unfinished import Undo, Unfinished
from holdstill_protocol.host_model import Failed, PreflightPassed, QuiesceHeld
from holdstill_protocol.messages import Lock, RefusalCode
from lab.ec2.disks import ImageDisks
from lab.host.mariadb import MariaDb
from lab.host.mysql import MySql
from tests.host.freezing import watchdog
from tests.host.quiescing import VOLUME, restored
from tests.host.replicating import SOURCE_ID, Pair, copied, paired, rows, wait_for, writing

pytestmark = pytest.mark.root

RUN = "recipes-db.20300101T000000Z.1"
SOURCES = Path(__file__).parents[2] / "agent" / "src"


@pytest.fixture(scope="module", params=[MariaDb, MySql], ids=lambda kind: str(kind.name))
def pair(request: pytest.FixtureRequest, disks: ImageDisks) -> Iterator[Pair]:
    """Return a replica that has caught up."""
    with paired(request.param, disks) as pair:
        yield pair


@contextmanager
def _run(config: Config) -> Iterator[Hold]:
    """Hold nothing yet; let go of everything at the end."""
    hold = Hold(config)
    try:
        yield hold
    finally:
        _end(hold)


def _prepare(hold: Hold) -> PreflightPassed | Failed:
    return hold.preflight(RUN, monotonic_ms() + 20_000, lambda _: True)


def _end(hold: Hold) -> None:
    """Undo what the run left, as the agent does once nothing is held."""
    hold.disconnect()
    hold.tidy()
    for _ in hold.undo(lambda _: True):
        pass


def _sleep(pause_s: float) -> bool:
    time.sleep(pause_s)
    return True


@pytest.mark.parametrize("pause", [False, True])
def test_copy_of_a_replica_follows_its_source(pair: Pair, disks: ImageDisks, pause: bool) -> None:
    """From the reported coordinates on it applies what it lacks: no row is lost, none is double."""
    name = f"replica-{pair.source.name}-{pause}"
    with (
        _run(replace(pair.config, pause_replication=pause)) as hold,
        writing(pair.source),
        watchdog(pair.replica.places.mounts[0]),
    ):
        passed = _prepare(hold)
        assert isinstance(passed, PreflightPassed), passed
        assert pair.runs() is not pause
        held = hold.quiesce(RUN, monotonic_ms() + 20_000)
        assert isinstance(held, QuiesceHeld), held
        disks.snapshot(VOLUME, f"snap-{name}", 1)
        assert hold.release(RUN).intact
        _end(hold)
        assert pair.runs()
        in_copy = rows(pair.source)  # at most
        wait_for(lambda: rows(pair.source) != in_copy)
    assert held.position
    (stood,) = held.position.sources
    assert (stood.channel, stood.host, stood.port) == ("", "127.0.0.1", pair.port)
    assert held.position.file
    pair.await_caught_up(pair.replica.server)
    device = restored(disks, name, "copy")
    try:
        with copied(pair, device) as copy:
            before = rows(copy)
            assert before != rows(pair.source), "nothing was left to apply: the proof is empty"
            if stood.file is None:  # MySQL's workers are at no one place
                assert (pair.source.name, pause) == ("mysql", False)
                pair.follow_gtid(copy, held.position.gtid)
            else:
                assert stood.offset
                pair.follow(copy, stood.file, stood.offset)
            pair.await_caught_up(copy)
    finally:
        disks.delete_volume(f"vol-{name}-copy")


def _statement(pair: Pair, *statements: str) -> Any:
    """Run statements on the source that its log repeats as they are; return the session."""
    connection: Any = pair.source.connect("replicated")
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION binlog_format = STATEMENT")
        for statement in statements:
            cursor.execute(statement)
    return connection


def _once(pair: Pair) -> None:
    if pair.source.name == "mysql":
        pytest.skip("nothing in it depends on the server; STOP and START are tried on both")


def test_killed_agents_successor_starts_replication(pair: Pair) -> None:
    """Killed while all is held: the next agent starts what the dead one stopped."""
    _once(pair)
    script = (
        "import os, sys, time; from pathlib import Path;"
        "from holdstill_agent.config import load; from holdstill_agent.hold import Hold;"
        "hold = Hold(load(Path(sys.argv[1]))); until_ms = time.monotonic_ns() // 10**6 + 20000;"
        "print(hold.preflight('r.1', until_ms, lambda _: True), file=sys.stderr);"
        "print(hold.quiesce('r.1', until_ms), file=sys.stderr);"
        "os.kill(os.getpid(), 9)"
    )
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES)}
    environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with watchdog(pair.replica.places.mounts[0]):
        killed = subprocess.run(
            [sys.executable, "-c", script, str(pair.config.path)],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
    assert killed.returncode == -signal.SIGKILL
    assert "QuiesceHeld" in killed.stderr, killed.stderr
    assert not pair.runs()
    agent = subprocess.Popen(
        [sys.executable, "-m", "holdstill_agent", "--config", str(pair.config.path)], env=environ
    )
    try:
        wait_for(pair.runs)
    finally:
        agent.terminate()
        agent.wait(20)
    assert not Unfinished(pair.config.state_dir).pending()


def test_refused_run_starts_replication_again(pair: Pair) -> None:
    """What the pre-flight stopped goes on although a later check fails."""
    _once(pair)
    config = replace(pair.config, quiet_patience_ms=300)
    with (
        _run(config) as hold,
        pair.replica.server.connect("replicated") as rival,
        rival.cursor() as cursor,
    ):
        if pair.source.name == "mariadb":
            cursor.execute("INSTALL SONAME 'metadata_lock_info'")
        cursor.execute("LOCK TABLES ledger WRITE")
        failed = _prepare(hold)
        assert isinstance(failed, Failed), failed
        assert failed.code is RefusalCode.LOCK_TIMEOUT, failed
        assert not pair.runs()
        _end(hold)
        assert pair.runs()
    assert not Unfinished(config.state_dir).pending()


def test_only_what_was_stopped_is_started(pair: Pair) -> None:
    """A replica that its operator has stopped stays stopped."""
    _once(pair)
    replica = pair.speaks.replica.upper()
    with pair.replica.server.connect() as admin, admin.cursor() as cursor:
        cursor.execute(f"STOP {replica} SQL_THREAD")
        with _run(pair.config) as hold:
            assert isinstance(_prepare(hold), PreflightPassed)
        assert not pair.runs()
        cursor.execute(f"START {replica} SQL_THREAD")


SECOND = {
    "mariadb": (
        "CHANGE MASTER 'second' TO MASTER_HOST='127.0.0.1', MASTER_PORT=1",
        "START SLAVE 'second' SQL_THREAD",
        "STOP SLAVE 'second'",
        "RESET SLAVE 'second' ALL",
    ),
    "mysql": (
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT=1 FOR CHANNEL 'second'",
        "START REPLICA SQL_THREAD FOR CHANNEL 'second'",
        "STOP REPLICA FOR CHANNEL 'second'",
        "RESET REPLICA ALL FOR CHANNEL 'second'",
    ),
}


def test_every_channel_is_stopped_and_started(pair: Pair) -> None:
    """A replica of two sources; a third that was removed since keeps neither stopped."""
    *make, stop, remove = SECOND[pair.source.name]
    with pair.replica.server.connect() as admin, admin.cursor() as cursor:
        for statement in make:
            cursor.execute(statement)
        try:
            with _run(pair.config) as hold:
                assert isinstance(_prepare(hold), PreflightPassed)
                assert _running(pair) == {"": False, "second": False}
                names = json.dumps(["removed", "second", ""])
                Unfinished(pair.config.state_dir).begin(RUN, Undo.START_REPLICATION, names)
            assert _running(pair) == {"": True, "second": True}
            assert not Unfinished(pair.config.state_dir).pending()
        finally:
            cursor.execute(stop)
            cursor.execute(remove)


def _running(pair: Pair) -> dict[str, bool]:
    database = Database.connect(pair.config.option_file, 1)
    try:
        return {channel.name: channel.runs for channel in read_channels(database)}
    finally:
        database.close()


def test_open_temporary_table_refuses_the_pause(pair: Pair) -> None:
    """The statements after the copy would not find it there; and replication goes on."""
    session = _statement(pair, "CREATE TEMPORARY TABLE passing (a INT)")
    pair.await_caught_up(pair.replica.server)
    with pair.replica.server.connect() as admin, admin.cursor() as cursor:
        wait_for(lambda: _temporary_tables(cursor) == 1)
    with _run(replace(pair.config, quiet_patience_ms=200)) as hold:
        failed = _prepare(hold)
    session.close()
    assert isinstance(failed, Failed), failed
    assert "temporary tables" in failed.detail
    assert pair.runs()


def _temporary_tables(cursor: Any) -> int:
    cursor.execute("SHOW GLOBAL STATUS LIKE '%_open_temp_tables'")
    return max(int(count) for _, count in cursor.fetchall())


def _is_system(blocker: Blocker) -> bool:
    return blocker.user == "system user" and not blocker.runs and not blocker.may_be_killed(0)


def test_replication_is_never_killed(pair: Pair) -> None:
    """A long statement of the SQL thread is waited for, whatever is configured for queries."""
    with pair.replica.server.connect() as admin, admin.cursor() as cursor:
        kill = "CONNECTION ADMIN" if pair.source.name == "mariadb" else "CONNECTION_ADMIN"
        cursor.execute(f"GRANT {kill} ON *.* TO holdstill@localhost")
    database = Database.connect(pair.config.option_file, 1)
    lookout = Lookout.connect(pair.config.option_file, database, Lock.FTWRL)
    long = f"INSERT INTO ledger SELECT SLEEP(IF(@@GLOBAL.server_id = {SOURCE_ID}, 0, 2))"
    _statement(pair, long).close()
    wait_for(lambda: any(one.age_ms > 500 and _is_system(one) for one in lookout.look()))
    began = time.monotonic()
    await_quiet(lookout, 1, 10_000, _sleep)
    assert time.monotonic() - began > 0.5
    assert lookout.killed == []
    lookout.close()
    database.close()
    pair.await_caught_up(pair.replica.server)
