"""Which of InnoDB's files are where no server variable tells: CREATE TABLE … DATA DIRECTORY = '…'.

MyISAM's and Aria's lie behind symbolic links then, which the freezer looks for: to ask the server
takes SELECT on every table, and MariaDB 10.11 opens each for it (0.3 ms: half a minute of 100,000).
"""

import os

from holdstill_agent import grants
from holdstill_agent.database import Database

# By the table of information_schema that has them. MariaDB has a FILES too, which is empty; its
# INNODB_SYS_TABLESPACES tells the names from 10.6 on, INNODB_SYS_DATAFILES before.
_NAMES = {
    "INNODB_SYS_TABLESPACES": "FILENAME",
    "INNODB_SYS_DATAFILES": "PATH",
    "FILES": "FILE_NAME",
}
_KNOWN = """SELECT TABLE_NAME FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = 'information_schema' AND (TABLE_NAME, COLUMN_NAME) IN
    (('INNODB_SYS_TABLESPACES', 'FILENAME'), ('INNODB_SYS_DATAFILES', 'PATH'),
     ('FILES', 'FILE_NAME'))"""
_BLIND = "the account cannot see where InnoDB's tablespaces are"


def tablespaces_elsewhere(database: Database, datadir: str) -> list[str]:
    """Return a file of each folder with tablespaces that are not named below the data directory.

    CheckFailedError has the GRANT without which nothing would be told. Temporary ones are left out.
    """
    grants.require(database, _BLIND, "PROCESS")
    known = {str(table).upper() for (table,) in database.execute(_KNOWN)}
    table = next((table for table in _NAMES if table in known), None)
    if table is None:  # a server without InnoDB
        return []
    path = _NAMES[table]
    temporary = "AND FILE_TYPE NOT LIKE '%TEMPORARY%'" if table == "FILES" else ""
    # Filtered there: a server may have 100,000, named ./schema/table.ibd.
    rows = database.execute(
        f"SELECT {path} FROM information_schema.{table}"  # noqa: S608 - both are ours
        f" WHERE ({path} LIKE '/%' OR {path} LIKE '%../%') {temporary}"
    )
    files = [os.path.join(datadir, str(name)) for (name,) in rows]  # noqa: PTH118 - as the server
    return sorted({os.path.dirname(file): file for file in files}.values())  # noqa: PTH120
