"""Is a copy good? Mount it, start its server on it, and hold it against what was acknowledged."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pymysql

from lab.host.acknowledged import Acknowledged, Moment
from lab.host.disk import mount, unmount
from lab.host.errors import HostError, MountError
from lab.host.load import CHURN, CHURN_ROWS, DATABASE
from lab.host.mariadb import MariaDb
from lab.host.pair import PairPaths
from lab.host.places import Places, scratch
from lab.host.server import BINLOG

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pymysql.cursors import Cursor

    from lab.host.server import DatabaseServer

LEDGER_ROWS = {
    "innodb": "SELECT COUNT(*), COALESCE(MAX(id), 0) FROM ledger_innodb",
    "aria": "SELECT COUNT(*), COALESCE(MAX(id), 0) FROM ledger_aria",
    "myisam": "SELECT COUNT(*), COALESCE(MAX(id), 0) FROM ledger_myisam",
}
SOUND = frozenset({"OK", "Table is already up to date"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of a copy and what it found."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class CopyReport:
    """Every check of one copy; printed, one line a check."""

    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Whether the copy passed every check."""
        return all(finding.ok for finding in self.findings)

    def __str__(self) -> str:
        width = max(len(finding.name) for finding in self.findings)
        return "\n".join(
            f"{'ok ' if finding.ok else 'BAD'}  {finding.name:<{width}}  {finding.detail}"
            for finding in self.findings
        )


@dataclass(frozen=True, slots=True)
class Expected:
    """What a copy is held against. Without a moment or a position their checks are weaker."""

    journals: Path
    moment: Moment | None = None
    position: str | None = None  # "file:offset", as the snapshot's tag has it
    gtid: str | None = None  # as the agent's Position has it


def check_copy(
    copies: Sequence[Path], expected: Expected, kind: type[DatabaseServer] = MariaDb
) -> CopyReport:
    """Check a copy, given its block devices or images in the original's order.

    The copy is changed: its log is replayed and its database recovered. A bad copy is a result,
    never an exception; HostError says that the check itself could not be undone.
    """
    with ExitStack() as undo:
        places = Places.make(undo.enter_context(scratch("check")), len(copies))
        try:
            for device, point in zip(copies, places.mounts, strict=True):
                undo.callback(unmount, point)
                mount(device, point, copy=True)
        except MountError as error:
            return CopyReport((Finding("mount", ok=False, detail=str(error)),))
        findings = [Finding("mount", ok=True, detail=f"{len(copies)} x XFS, nouuid")]
        findings.append(check_pair(PairPaths.on(places.mounts), expected))
        if expected.position is not None:
            findings.append(_check_position(places.binlogs, expected.position))
        findings.extend(_check_database(places, expected, kind))
        return CopyReport(tuple(findings))


def check_directories(copies: Sequence[Path], expected: Expected, pairs: int) -> CopyReport:
    """Check a copy of the fallback's directories: there are only pairs in them."""
    places = [PairPaths.on(copies, number) for number in range(pairs)]
    return CopyReport(tuple(check_pair(paths, expected) for paths in places))


def check_pair(paths: PairPaths, expected: Expected) -> Finding:
    """Check that `first` is at `second`'s record or one ahead, and that neither lost any."""
    name = f"file {paths.journal}"
    try:
        first, second = paths.records()
    except (OSError, ValueError) as error:
        return Finding(name, ok=False, detail=str(error))
    least, most = Acknowledged.read(expected.journals, paths.journal).bounds(expected.moment)
    ok = second <= first <= second + 1 and least <= second and first <= most
    return Finding(name, ok, f"{first} and {second} records; acknowledged before the copy: {least}")


def _check_position(binlogs: Path, position: str) -> Finding:
    """Check that the copied binary log ends at the position: under the lock nothing is added."""
    file, _, offset = position.partition(":")
    files = sorted(path for path in binlogs.glob(f"{BINLOG}.[0-9]*"))
    if not files:
        return Finding("position", ok=False, detail="no binary log in the copy")
    last, size = files[-1], files[-1].stat().st_size
    ok = last.name == file and str(size) == offset
    return Finding("position", ok, f"the copy ends at {last.name}:{size}, reported {position}")


def _check_database(
    places: Places, expected: Expected, kind: type[DatabaseServer]
) -> Iterator[Finding]:
    server = kind(
        places.datadir,
        places.binlogs,
        places.run_dir,
        options=(
            # Automatic repair would hide what the check is for.
            "--myisam-recover-options=OFF",
            "--skip-slave-start",
            # The copy is thrown away: recovering it need not survive a loss of power.
            "--innodb-flush-method=nosync",
            "--sync-binlog=0",
        ),
    )
    try:
        _relocate_index(places.binlogs)
        server.start()
        yield Finding("start", ok=True, detail=f"{kind.label} recovered and answers")
        with server.connect(DATABASE) as connection, connection.cursor() as cursor:
            if expected.gtid is not None:
                yield _check_gtid(cursor, expected.gtid, kind.select_gtid)
            yield _check_tables(cursor)
            yield from _check_ledgers(cursor, expected, kind.engines)
            yield _check_churn(cursor, expected)
    except (HostError, pymysql.MySQLError, OSError) as error:
        yield Finding("database", ok=False, detail=str(error))
    finally:
        server.kill()


def _relocate_index(binlogs: Path) -> None:
    """Have the copy's server recover from the copy's own binary log.

    The index has absolute paths: the original's, which may still be there and written to.
    """
    index = binlogs / f"{BINLOG}.index"
    names = [line.rpartition("/")[2] for line in index.read_text().splitlines()]
    index.write_text("".join(f"{binlogs / name}\n" for name in names))


def _check_gtid(cursor: Cursor, gtid: str, select: str) -> Finding:
    """Check that the copy has executed the position's transactions, no less and no more."""
    cursor.execute(select)
    executed = str(cursor.fetchall()[0][0]).replace("\n", "")
    return Finding("gtid", executed == gtid, f"the copy has {executed}, reported {gtid}")


def _check_tables(cursor: Cursor) -> Finding:
    """Let the server check every table of the copy, its own included."""
    cursor.execute(
        "SELECT CONCAT('`', table_schema, '`.`', table_name, '`') FROM information_schema.tables "
        "WHERE table_type = 'BASE TABLE' "
        "AND table_schema NOT IN ('information_schema', 'performance_schema')"
    )
    tables = [name for (name,) in cursor.fetchall()]
    cursor.execute(f"CHECK TABLE {', '.join(tables)} EXTENDED")
    complaints = [
        f"{table}: {text}"
        for table, _, kind, text in cursor.fetchall()
        if kind in {"error", "warning"} or (kind == "status" and text not in SOUND)
    ]
    name = "CHECK TABLE EXTENDED"
    if complaints:
        return Finding(name, ok=False, detail="; ".join(complaints[:3]))
    return Finding(name, ok=True, detail=f"{len(tables)} tables")


def _check_ledgers(cursor: Cursor, expected: Expected, engines: Sequence[str]) -> Iterator[Finding]:
    """Check that no row is lost or early, and no engine is ahead of the one written before it."""
    counts: list[int] = []
    for engine in engines:
        try:
            cursor.execute(LEDGER_ROWS[engine])
        except pymysql.MySQLError as error:
            yield Finding(f"ledger {engine}", ok=False, detail=str(error))
            continue
        count, highest = cursor.fetchall()[0]
        counts.append(count)
        least, most = Acknowledged.read(expected.journals, engine).bounds(expected.moment)
        yield Finding(
            f"ledger {engine}",
            ok=count == highest and least <= count <= most,
            detail=f"{count} rows to {highest}; acknowledged before the copy: {least}",
        )
    if not counts:
        return
    ordered = counts == sorted(counts, reverse=True) and max(counts) - min(counts) <= 1
    yield Finding(
        "ledgers in step",
        len(counts) == len(engines) and ordered,
        " >= ".join(map(str, counts)),
    )


def _check_churn(cursor: Cursor, expected: Expected) -> Finding:
    """Check that every row is of one and the same UPDATE."""
    cursor.execute("SELECT COUNT(*), MIN(generation), MAX(generation) FROM churn")
    rows, oldest, newest = cursor.fetchall()[0]
    least, most = Acknowledged.read(expected.journals, CHURN).bounds(expected.moment)
    return Finding(
        "churn in one piece",
        ok=rows == CHURN_ROWS and oldest == newest and least <= newest <= most,
        detail=f"{rows} rows of updates {oldest} to {newest}; acknowledged before: {least}",
    )
