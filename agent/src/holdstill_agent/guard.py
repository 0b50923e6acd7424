"""The long-query guard's part of the pre-flight: may it look, may it kill, is it quiet."""

from holdstill_agent import grants
from holdstill_agent.blockers import Sight, sight
from holdstill_agent.config import Config
from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError, LockFailedError
from holdstill_agent.lookout import Lookout

_BLIND = "the account cannot see who would keep the lock waiting"


def post_lookout(config: Config, database: Database) -> Lookout:
    """Open the lookout's sessions, look once; CheckFailedError has the GRANT that it lacks."""
    seen = sight(database)
    if database.is_mariadb or seen is Sight.STATEMENTS:
        # Without it the servers show an account its own sessions alone, and no error.
        grants.require(database, _BLIND, "PROCESS")
    if config.kill_queries_older_than_s is not None:
        kill = "CONNECTION ADMIN" if database.is_mariadb else "CONNECTION_ADMIN"
        grants.require(database, "kill_queries_older_than_s needs", kill, "SUPER")
    lookout = Lookout.connect(config.option_file, database, config.lock)
    try:
        lookout.look()
    except LockFailedError as error:
        if "denied" not in str(error):
            raise
        needed = grants.grant(database, "SELECT", on="performance_schema.*")
        raise CheckFailedError(f"{_BLIND}: {needed}") from error
    return lookout
