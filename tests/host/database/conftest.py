"""Real servers, and the agent's connection to them."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from holdstill_agent.database import Database
from lab.host import DatabaseServer
from tests.host.database.on_servers import Servers
from tests.host.folders import server_folder


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Return what gives the one server of each kind, started when it is first asked for."""
    with ExitStack() as stops:

        @cache
        def started(kind: type[DatabaseServer]) -> DatabaseServer:
            folder = server_folder(tmp_path_factory, kind.name)
            server = kind(folder / "data", folder / "binlogs", folder / "run")
            server.install()
            stops.callback(server.stop)
            server.start()
            with server.connect() as connection, connection.cursor() as cursor:
                cursor.execute("CREATE DATABASE shop")
                cursor.execute("CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY)")
            server.create_agent_account(folder / "run" / "agent.cnf")
            return server

        yield started


@pytest.fixture
def server(request: pytest.FixtureRequest, servers: Servers) -> DatabaseServer:
    """Return the server of the kind that is asked for."""
    return servers(request.param)


@pytest.fixture
def option_file(server: DatabaseServer) -> str:
    """Return the agent's account."""
    return str(server.socket.parent / "agent.cnf")


@pytest.fixture
def database(option_file: str) -> Iterator[Database]:
    """Return the agent's session."""
    database = Database.connect(option_file, 1)
    yield database
    database.close()
