"""How the database is locked, by strategy: what may be slow, what holds writers, what lets go.

LOCAL (NO_WRITE_TO_BINLOG): nothing of this is for a replica. Each statement waits for at most the
session's lock_wait_timeout, and so do those that come after it: on MySQL, FLUSH TABLES waits for
the queries that run on a table, and new ones on that table wait behind it.
"""

from dataclasses import dataclass

from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError
from holdstill_protocol.messages import Lock


@dataclass(frozen=True, slots=True)
class Strategy:
    """`ease` makes `take` short; `take` holds the writers until `give_back`.

    `ease` holds nobody by itself: but on MySQL, behind a long query, whoever wants its tables.
    """

    ease: tuple[str, ...]
    take: tuple[str, ...]
    give_back: str


STRATEGIES = {
    Lock.FTWRL: Strategy(
        ease=("FLUSH LOCAL TABLES",),
        take=("FLUSH LOCAL TABLES WITH READ LOCK",),
        give_back="UNLOCK TABLES",
    ),
    # MySQL's LOCK INSTANCE FOR BACKUP is no such thing: it lets MyISAM be written.
    Lock.BACKUP_STAGE: Strategy(
        ease=("BACKUP STAGE START", "BACKUP STAGE FLUSH"),
        take=("BACKUP STAGE BLOCK_DDL", "BACKUP STAGE BLOCK_COMMIT"),
        give_back="BACKUP STAGE END",
    ),
}


def require_permitted(lock: Lock, database: Database) -> None:
    """Raise unless the account may lock: flushing a table that does not exist flushes nothing."""
    if lock is Lock.BACKUP_STAGE and not database.is_mariadb:
        database.close()
        raise CheckFailedError('lock = "backup-stage" is MariaDB\'s; MySQL needs "ftwrl"')
    database.execute("FLUSH LOCAL TABLES mysql.holdstill_may_flush")
