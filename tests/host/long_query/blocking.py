"""Sessions that keep the agent's lock waiting or do not, and an agent that locks alone."""

from pathlib import Path

from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config
from holdstill_agent.database import Database
from holdstill_agent.guard import post_lookout
from holdstill_agent.hold import Hold
from holdstill_agent.preflight import Preflight
from holdstill_protocol.host_model import Failed, QuiesceHeld
from holdstill_protocol.messages import RefusalCode
from lab.host.server import DatabaseServer

EXAMPLE = Path(__file__).parents[3] / "agent" / "agent.example.toml"
RUN = "recipes-db.20300101T000000Z.1"
WAIT_S = 1  # lock_wait_timeout_s, the least there is
STALL_S = WAIT_S + 0.5

LONG_SELECT = ("SELECT SLEEP(60), 'se''cret', 4711 FROM {} /* secret */ LIMIT 1",)
LONG_UPDATE = ("UPDATE {} SET t = 'secret' WHERE id = 1 AND SLEEP(60) = 0",)
FOR_UPDATE = ("BEGIN", "SELECT SLEEP(60), 'secret' FROM {} WHERE id = 1 FOR UPDATE")
CREATE = ("CREATE TABLE made_of_{0} AS SELECT SLEEP(60), 'secret' FROM {0} LIMIT 1",)
LOCK_WRITE = ("LOCK TABLES {} WRITE",)
LOCK_READ = ("LOCK TABLES {} READ",)
HANDLER = ("HANDLER {} OPEN",)
OPEN_TRANSACTION = ("BEGIN", "UPDATE {} SET v = 2 WHERE id = 1")
OPEN_READ = ("BEGIN", "SELECT * FROM {}")
NO_TABLE = ("SELECT SLEEP(60)",)

WRITERS = (LONG_UPDATE, FOR_UPDATE, CREATE, LOCK_WRITE)
READERS = (LONG_SELECT, LOCK_READ, HANDLER)
NOBODY = (OPEN_TRANSACTION, OPEN_READ, NO_TABLE)


class Connected(Preflight):
    """A pre-flight of the database's connections alone."""

    def run(self) -> None:
        """Connect."""
        config = self._config
        self.database = Database.connect(config.option_file, config.lock_wait_timeout_s)
        self.lookout = post_lookout(config, self.database)


def agent_option_file(server: DatabaseServer) -> Path:
    """Return the option file of the agent's account."""
    return server.socket.parent / "agent.cnf"


def quiesce(config: Config) -> tuple[Hold, QuiesceHeld | Failed]:
    """Connect and lock; return the hold and what came of it."""
    hold = Hold(config, Connected)
    hold.preflight(RUN, monotonic_ms() + 5000, lambda _: True)
    return hold, hold.quiesce(RUN, monotonic_ms() + 15_000)


def on_orders(statements: tuple[str, ...]) -> tuple[str, ...]:
    """Return the statements on the table that most tests need."""
    return tuple(one.format("orders") for one in statements)


def refused_detail(config: Config) -> str:
    """Let a run be refused because of who is in the lock's way; return what is said of it."""
    hold, failed = quiesce(config)
    hold.disconnect()
    assert isinstance(failed, Failed)
    assert failed.code is RefusalCode.LOCK_TIMEOUT, failed
    return failed.detail


def await_write(server: DatabaseServer) -> None:
    """Write: it would wait for ever on a lock that was left."""
    with server.connect("shop") as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION lock_wait_timeout = 1")
        cursor.execute("INSERT INTO other (v) VALUES (1)")
