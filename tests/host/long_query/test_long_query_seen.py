"""The long-query guard on real servers: who is seen, who is named, and what seeing needs."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from holdstill_agent.blockers import Sight
from holdstill_agent.config import Config
from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError
from holdstill_agent.guard import post_lookout
from holdstill_agent.lookout import Lookout
from holdstill_protocol.host_model import QuiesceHeld
from holdstill_protocol.messages import Lock
from lab.host.server import DatabaseServer
from tests.host.long_query.blocking import (
    LOCK_WRITE,
    LONG_UPDATE,
    NOBODY,
    READERS,
    RUN,
    WAIT_S,
    WRITERS,
    on_orders,
    quiesce,
    refused_detail,
)
from tests.host.rivals import Stall, rival

pytestmark = pytest.mark.root


def _held(config: Config) -> None:
    hold, held = quiesce(config)
    assert isinstance(held, QuiesceHeld), held
    assert hold.release(RUN).intact


def _blocks(server: DatabaseServer) -> tuple[tuple[str, ...], ...]:
    return WRITERS if server.name == "mariadb" else WRITERS + READERS


def _passes(server: DatabaseServer) -> tuple[tuple[str, ...], ...]:
    return NOBODY + READERS if server.name == "mariadb" else NOBODY


@contextmanager
def _rivals(server: DatabaseServer, kinds: Sequence[tuple[str, ...]]) -> Iterator[set[int]]:
    """Let each of these sessions do its own, on a table of its own; yield their ids."""
    with ExitStack() as stack:
        yield {
            stack.enter_context(rival(server, *(one.format(f"t{n}") for one in statements)))
            for n, statements in enumerate(kinds)
        }


def test_blockers_are_named_and_no_lock_begun(server: DatabaseServer, config: Config) -> None:
    """Who would keep the lock waiting is seen before: no writer waits, no literal is told."""
    with _rivals(server, _blocks(server)) as sessions, Stall(server, ["other"]) as stall:
        time.sleep(0.1)  # a younger statement is expected to end by itself
        told = refused_detail(config)
        lookout = post_lookout(config, Database.connect(config.option_file, 1))
        seen = {one.session_id: one for one in lookout.look() if one.user == "app"}
        lookout.close()
    assert set(seen) == sessions
    shown = [*map(str, seen.values()), told]
    assert not any("secret" in text or "4711" in text for text in shown)
    assert any("UPDATE t0 SET t = ? WHERE id = ?" in text for text in shown)
    assert told.count("(app): ") == 3
    assert stall.longest_s["other"] < WAIT_S / 2


def test_who_does_not_block_is_no_reason(server: DatabaseServer, config: Config) -> None:
    """An open transaction keeps no lock waiting, on MariaDB no reader either: the run goes on."""
    with _rivals(server, _passes(server)):
        _held(config)


@pytest.mark.parametrize("needs", ["sight", "kill"])
def test_missing_privilege_is_told_as_its_grant(
    server: DatabaseServer, config: Config, tmp_path: Path, needs: str
) -> None:
    """What the refusal says can be pasted, and then it passes."""
    option_file = tmp_path / "poor.cnf"
    option_file.write_text(f"[client]\nuser=poor\npassword=secret\nsocket={server.socket}\n")
    config = replace(
        config,
        option_file=str(option_file),
        kill_queries_older_than_s=60 if needs == "kill" else None,
    )
    with server.connect() as admin, admin.cursor() as cursor:
        cursor.execute("DROP USER IF EXISTS poor@localhost")
        cursor.execute("CREATE USER poor@localhost IDENTIFIED BY 'secret'")
        if needs == "kill":
            for grant in server.agent_grants:
                cursor.execute(f"GRANT {grant} TO poor@localhost")
        with pytest.raises(CheckFailedError, match="GRANT ") as refused:
            post_lookout(config, Database.connect(config.option_file, 1))
        cursor.execute("GRANT " + str(refused.value).partition("GRANT ")[2])
    post_lookout(config, Database.connect(config.option_file, 1)).close()


def test_server_without_tables_of_locks_shows_statements(
    server: DatabaseServer, config: Config
) -> None:
    """Then what runs is judged by its words: a long UPDATE is named, an idle one is not seen."""
    database = Database.connect(config.option_file, 1)
    lookout = Lookout.connect(config.option_file, database, Lock.FTWRL)
    lookout.sight = Sight.STATEMENTS
    with rival(server, *on_orders(LONG_UPDATE)) as session_id:
        (blocker,) = lookout.look()
    assert blocker.session_id == session_id
    assert "secret" not in str(blocker)
    if server.name == "mysql":  # nothing there tells a statement's age for certain, or its id
        assert (blocker.certain_ms, blocker.query_id) == (0, None)
        assert blocker.doubt
    with rival(server, *on_orders(LOCK_WRITE)):
        assert lookout.look() == ()
    database.close()
    lookout.close()


def test_bytes_that_are_no_text_are_shown(server: DatabaseServer, config: Config) -> None:
    """A statement may hold anything; looking at it never fails."""
    statement = b"UPDATE orders SET v = 1 WHERE SLEEP(60) = '\xff\xfe\x01\xf0\x9f'"
    database = Database.connect(config.option_file, 1)
    lookout = Lookout.connect(config.option_file, database, Lock.FTWRL)
    with rival(server, statement) as session_id:
        assert session_id in {one.session_id for one in lookout.look()}
    lookout.close()
    database.close()
