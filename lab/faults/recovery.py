"""After a trial: the world is made as it was, by what an operator or systemd would do."""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING

from lab.faults.family import send
from lab.host import load, probe

if TYPE_CHECKING:
    from lab.faults.world import World


def recover(world: World) -> None:
    """Have server, load, probes and the usual agent alive, and nothing stopped or frozen."""
    send(signal.SIGCONT, *world.processes(), world.agent.pid)
    world.host.thaw()
    if not world.host.server.answers():
        _rebuild_database(world)
    if set(world.processes()) - {world.agent.pid}:
        world.agent.stop()  # its run's conductor is dead: it would wait a minute for a freeze
    world.restore_agent()


def _rebuild_database(world: World) -> None:
    """Start the server again, with the load's tables as new: what it wrote last is not known."""
    host = world.host
    host.load.stop()
    for one in host.probes.values():
        one.stop()
    host.server.stop()
    host.server.start()
    with host.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {load.DATABASE}")
        load.create_tables(connection, host.server.engines)
        probe.create_table(connection)
    shutil.rmtree(host.load.plan.journals)
    host.load.start()
    for one in host.probes.values():
        one.start()
