"""What the agent's account may do, and the GRANT that is missing, for a person to copy."""

import re

from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError

_GLOBAL = re.compile(r"GRANT (.*?) ON \*\.\* TO ")


def may(database: Database, *any_of: str) -> bool:
    """Return whether the account, by itself or by an active role, has one of these everywhere."""
    granted = {
        privilege
        for (line,) in database.execute("SHOW GRANTS")
        if (found := _GLOBAL.match(line))
        for privilege in re.split(r", ?", found[1].upper())  # MySQL: "PROCESS, …", "A_B,C_D"
    }
    return not granted.isdisjoint({"ALL PRIVILEGES", *any_of})


def require(database: Database, why: str, *any_of: str) -> None:
    """Raise CheckFailedError with the statement that grants the first, unless it has one."""
    if not may(database, *any_of):
        raise CheckFailedError(f"{why}: {grant(database, any_of[0])}")


def grant(database: Database, privilege: str, on: str = "*.*") -> str:
    """Return the statement by which an administrator grants it to the agent's account."""
    (account,) = database.row("SELECT CURRENT_USER()")
    user, _, host = str(account).rpartition("@")
    return f"GRANT {privilege} ON {on} TO '{user}'@'{host}'"
