"""The operator's own commands: `before_lock` in the pre-flight, `after_unlock` at the run's end.

Neither runs while anything is held. Once the first was begun, or would have been, the second runs
whatever happened: a record in state_dir remembers it over the agent's death.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from holdstill_agent.clock import Pause, monotonic_ms
from holdstill_agent.config import Config, HookConfig
from holdstill_agent.errors import HookFailedError
from holdstill_agent.unfinished import Undo, Unfinished

_LOOK_AGAIN_S = 0.05
_REAPED_WITHIN_MS = 1000  # after SIGKILL; a process that hangs in the kernel is left to it
_TAIL_BYTES = 400
_READS_AT_ONCE = 64
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Run by this interpreter, it becomes the command: killed with the agent, so that a `before_lock`
# that outlives it cannot undo what `after_unlock` does at the next start. Python ignores SIGPIPE,
# and a command inherits that.
_LAUNCH = """
import ctypes, os, signal, sys
parent, *argv = sys.argv[1:]
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))
if os.getppid() == int(parent):
    try:
        os.execv(argv[0], argv)
    except OSError as error:
        sys.exit(f"{argv[0]}: {error.strerror}")
"""


@dataclass(frozen=True, slots=True)
class HookReport:
    """How an `after_unlock` went. `failure` is None if it went well."""

    run_id: str
    failure: str | None
    took_ms: int


class Hooks:
    """The two commands of one target, and what of them is still to be done."""

    def __init__(self, config: Config, unfinished: Unfinished) -> None:
        self._before_lock = config.before_lock
        self._after_unlock = config.after_unlock
        self._target = config.target
        self._unfinished = unfinished

    def require_runnable(self) -> str | None:
        """Return what is configured, None if nothing is; HookFailedError if it could not start."""
        named = [hook.argv[0] for hook in (self._before_lock, self._after_unlock) if hook]
        for command in named:
            if not os.access(command, os.X_OK) or os.path.isdir(command):  # noqa: PTH112
                raise HookFailedError(
                    f"{command} cannot be run by this user: install it, and chmod +x it"
                )
        return ", ".join(named) or None

    def before_lock(self, run_id: str, until_ms: int, pause: Pause) -> str | None:
        """Run it, once `after_unlock` is certain to follow; return what it said last.

        HookFailedError if it fails, or is not done by its limit or `until_ms`, or `pause` returns
        False: it is dead then, and all of its process group.
        """
        if self._after_unlock:
            self._unfinished.begin(run_id, Undo.AFTER_UNLOCK)
        if self._before_lock is None:
            return None
        try:
            running = _Running(self._before_lock, self._environ(run_id), until_ms)
        except OSError as error:
            raise HookFailedError(f"it cannot be started: {error}") from error
        failure = running.outcome(pause)
        if failure:
            raise HookFailedError(failure)
        return f"before_lock took {running.took_ms} ms"

    def after_unlock(self, pause: Pause) -> HookReport | None:
        """Run it if it is due, to its end whatever `pause` returns; None if it is not due."""
        due = [deed for deed in self._unfinished.pending() if deed.what is Undo.AFTER_UNLOCK]
        if not due:
            return None
        (deed,) = due
        if self._after_unlock is None:
            report = HookReport(deed.run_id, "it is no longer configured", 0)
        else:
            report = self._run_after_unlock(self._after_unlock, deed.run_id, pause)
        self._unfinished.done(Undo.AFTER_UNLOCK)
        return report

    def _run_after_unlock(self, hook: HookConfig, run_id: str, pause: Pause) -> HookReport:
        try:
            running = _Running(hook, self._environ(run_id))
        except OSError as error:
            return HookReport(run_id, f"it cannot be started: {error}", 0)
        failure = running.outcome(lambda pause_s: pause(pause_s) or True)
        return HookReport(run_id, failure, running.took_ms)

    def _environ(self, run_id: str) -> dict[str, str]:
        """Return the command's environment: of the agent's own, with its keys, it gets nothing."""
        return {"PATH": _PATH, "HOLDSTILL_TARGET": self._target, "HOLDSTILL_RUN_ID": run_id}


class _Running:
    """A started command, the first of a process group of its own."""

    def __init__(
        self, hook: HookConfig, environ: Mapping[str, str], until_ms: int | None = None
    ) -> None:
        self._began_ms = monotonic_ms()
        self._limit_ms = self._began_ms + hook.timeout_ms
        self._late = f"it took longer than its {hook.timeout_ms / 1000:g} s and was killed"
        if until_ms is not None and until_ms < self._limit_ms:
            self._limit_ms = until_ms
            self._late = "it took longer than the conductor waits, and was killed"
        self.took_ms = 0
        self._said = b""
        self._output, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(theirs, True)
        argv = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *hook.argv]
        try:
            # No descriptor of ours goes along: neither the database's session nor the freezer's
            # line may live on in a command.
            self._process = subprocess.Popen(  # noqa: S603 - the operator's, from the root-owned file
                argv,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                env=dict(environ),
                cwd="/",
                process_group=0,
            )
        finally:
            os.close(theirs)

    def outcome(self, pause: Pause) -> str | None:
        """Wait for its end; return what went wrong, with the end of what it said."""
        failure = self._wait(pause)
        if failure:
            with contextlib.suppress(ProcessLookupError):
                # Not reaped yet, so the number is still its own, whatever it left behind.
                os.killpg(self._process.pid, signal.SIGKILL)
        self._read()
        os.close(self._output)
        self._reap()
        self.took_ms = monotonic_ms() - self._began_ms
        said = self._said.decode("utf-8", "replace").strip()
        return f"{failure}: {said}" if failure and said else failure

    def _wait(self, pause: Pause) -> str | None:
        while not (ended := os.waitid(os.P_PID, self._process.pid, _LOOK)):
            self._read()
            if monotonic_ms() >= self._limit_ms:
                return self._late
            if not pause(_LOOK_AGAIN_S):
                return "it was no longer wanted, and was killed"
        if ended.si_code != os.CLD_EXITED:
            return f"it was ended by signal {ended.si_status}"
        return f"it ended with {ended.si_status}" if ended.si_status else None

    def _read(self) -> None:
        """Keep the end of what it said; a pipe that nobody reads would stop it."""
        for _ in range(_READS_AT_ONCE):
            try:
                said = os.read(self._output, 65_536)
            except BlockingIOError:
                return
            if not said:
                return
            self._said = (self._said + said)[-_TAIL_BYTES:]

    def _reap(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAPED_WITHIN_MS / 1000)


_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT
