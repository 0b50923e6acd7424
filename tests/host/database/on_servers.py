"""Which servers and locks a test is for, and what writes beside the lock."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from holdstill_agent.database import Database
from holdstill_agent.locks import STRATEGIES
from holdstill_protocol.messages import Lock
from lab.host import DatabaseServer, MariaDb, MySql

LOCKS = [(MariaDb, Lock.FTWRL), (MariaDb, Lock.BACKUP_STAGE), (MySql, Lock.FTWRL)]
on_both = pytest.mark.parametrize("server", [MariaDb, MySql], indirect=True)
on_mariadb = pytest.mark.parametrize("server", [MariaDb], indirect=True)
on_mysql = pytest.mark.parametrize("server", [MySql], indirect=True)
with_each_lock = pytest.mark.parametrize(("server", "lock"), LOCKS, indirect=["server"])
Servers = Callable[[type[DatabaseServer]], DatabaseServer]


class Insert:
    """An insert, begun in another session."""

    def __init__(self, server: DatabaseServer) -> None:
        self._connection: Any = server.connect("shop")
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute("INSERT INTO orders VALUES ()")
        self._connection.close()

    def waits(self) -> bool:
        """Return whether it still waits after a moment."""
        self._thread.join(0.2)
        return self._thread.is_alive()

    def finish(self) -> bool:
        """Return whether it comes through soon."""
        self._thread.join(3)
        return not self._thread.is_alive()


def take(database: Database, lock: Lock) -> None:
    """Take the lock as the agent does."""
    for statement in (*STRATEGIES[lock].ease, *STRATEGIES[lock].take):
        database.execute(statement)
