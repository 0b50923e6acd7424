"""A replica's SQL threads, stopped before the lock and started again whatever comes.

Which ones were stopped is recorded before: an agent that finds the record when it starts, or at
the end of a run, starts them. Those that did not run before stay as they were, and those that
cannot be started stay on record.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from holdstill_agent import grants
from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config
from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError, HostError, StateUnwritableError
from holdstill_agent.replica import dialect, open_temporary_tables, read_channels
from holdstill_agent.unfinished import Deed, Undo, Unfinished

_LOOK_AGAIN_S = 0.1
_LET_IT_RUN_S = 1.0
_START_WITHIN_MS = 2000
_START_ALL_WITHIN_MS = 5000


@dataclass(frozen=True, slots=True)
class Started:
    """What came of starting the SQL threads again; `failure` is None if they were started."""

    run_id: str
    failure: str | None


class Replication:
    """The SQL threads of one replica."""

    def __init__(self, config: Config) -> None:
        self._option_file = config.option_file
        self._unfinished = Unfinished(config.state_dir)

    def pause(
        self, database: Database, run_id: str, until_ms: int, wanted: Callable[[float], bool]
    ) -> str:
        """Stop every SQL thread that runs; return what was done, for a person.

        CheckFailedError if one does not stop by `until_ms`, or still has temporary tables: the
        statements that follow would not find them on a server made from the copy. Or if what an
        earlier pause stopped is still to be started: its record has room for one pause's names.
        """
        if earlier := self._pending():
            raise CheckFailedError(
                f"replication is still stopped by run {earlier.run_id}: what keeps it so is in the"
                " agent's log; it is started again as soon as that is mended"
            )
        admin = "REPLICATION SLAVE ADMIN" if database.is_mariadb else "REPLICATION_SLAVE_ADMIN"
        grants.require(database, "pause_replication needs", admin, "SUPER")
        names = [channel.name for channel in read_channels(database) if channel.runs]
        if not names:
            return "no SQL thread runs: nothing to stop"
        self._unfinished.begin(run_id, Undo.START_REPLICATION, json.dumps(names))
        while True:
            self._stop(names, until_ms, wanted)
            if not (tables := open_temporary_tables(database)):
                return f"stopped until the end of the run: {len(names)} SQL thread(s)"
            # They go when their session on the source ends; only a running thread sees that.
            if failures := self._start(names):
                raise CheckFailedError(_told(failures))
            if monotonic_ms() >= until_ms or not wanted(_LET_IT_RUN_S):
                raise CheckFailedError(
                    f"the SQL thread has {tables} temporary tables open, which no copy would have:"
                    " use binlog_format=ROW on the source, or back up at another hour"
                )

    def resume(self) -> Started | None:
        """Start what was stopped, by this process or a dead one; None if nothing was."""
        deed = self._pending()
        if deed is None:
            return None
        try:
            failures = self._start(_names(deed.note))
        except HostError as error:
            return Started(deed.run_id, f"replication is still stopped: {error}")
        if failures:
            # Where that cannot be written, all of them are started once more: it is harmless.
            with suppress(StateUnwritableError):
                self._unfinished.begin(deed.run_id, deed.what, json.dumps(list(failures)))
            return Started(deed.run_id, f"replication is still stopped: {_told(failures)}")
        self._unfinished.done(deed.what)
        return Started(deed.run_id, None)

    def _pending(self) -> Deed | None:
        """Return the pause whose threads are still to be started."""
        return next(
            (one for one in self._unfinished.pending() if one.what is Undo.START_REPLICATION), None
        )

    def _start(self, names: Sequence[str] | None) -> Mapping[str, HostError]:
        """Start these threads, or all where the record cannot be read; return which failed.

        Each on a session of its own, as an error ends one. What its operator has removed since is
        not to be started. After 5 s no further one is tried: nobody tells the watchdog meanwhile.
        Those come first in what is returned, and so the next time. HostError if the server cannot
        be asked.
        """
        until_ms = monotonic_ms() + _START_ALL_WITHIN_MS
        database = Database.connect(self._option_file, 1)
        try:
            database.answer_by(monotonic_ms() + _START_WITHIN_MS)
            there = [channel.name for channel in read_channels(database)]
        finally:
            database.close()
        if names is not None:  # both servers take "Orders" and "orders" for one channel
            order = {name.casefold(): place for place, name in enumerate(names)}
            there = [name for name in there if name.casefold() in order]
            there.sort(key=lambda name: order[name.casefold()])
        failures: dict[str, HostError] = {}
        untried: dict[str, HostError] = {}
        for name in there:
            if monotonic_ms() >= until_ms:
                untried[name] = CheckFailedError("not tried yet: the ones before it took too long")
                continue
            try:
                self._start_one(name)
            except HostError as error:
                failures[name] = error
        return untried | failures

    def _start_one(self, name: str) -> None:
        database = Database.connect(self._option_file, 1)
        try:
            database.answer_by(monotonic_ms() + _START_WITHIN_MS)
            database.execute(dialect(database).command("START", name))
        finally:
            database.close()

    def _stop(self, names: list[str], until_ms: int, wanted: Callable[[float], bool]) -> None:
        """Stop them on a session of their own, so that this thread can give up.

        STOP waits for the transaction that is being applied, however long that takes. It goes on
        in the server when the agent gives up, and a START that comes later waits behind it. The
        next one is then no longer stopped: nobody would be there to start it.
        """
        database = Database.connect(self._option_file, 1)
        failures: list[HostError] = []
        given_up = threading.Event()

        def stop() -> None:
            try:
                for name in names:
                    if given_up.is_set():
                        return
                    database.answer_by(until_ms)
                    database.execute(dialect(database).command("STOP", name))
            except HostError as error:
                failures.append(error)
            finally:
                database.close()

        stopping = threading.Thread(target=stop, daemon=True)
        stopping.start()
        while stopping.is_alive():
            stopping.join(_LOOK_AGAIN_S)
            if not wanted(0):
                given_up.set()
                raise CheckFailedError("no longer wanted")
        if failures:
            raise CheckFailedError(
                f"the SQL thread did not stop: {failures[0]}; back up when no long transaction is"
                " being applied"
            )


def _told(failures: Mapping[str, HostError]) -> str:
    """Return what keeps which channel stopped, for a person."""
    return "; ".join(f"channel {name!r}: {error}" for name, error in failures.items())


def _names(note: str) -> list[str] | None:
    try:
        names = json.loads(note)
    except ValueError:
        return None
    return [str(name) for name in names] if isinstance(names, list) else None
