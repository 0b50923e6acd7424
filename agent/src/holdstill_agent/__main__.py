"""`holdstill-agent --config FILE` runs the agent; `--check` looks at the host and holds nothing."""

import argparse
import contextlib
import signal
import sys
import threading
import time
from pathlib import Path

from holdstill_agent import __version__
from holdstill_agent.clock import monotonic_ms
from holdstill_agent.config import Config, load
from holdstill_agent.errors import ConfigError
from holdstill_agent.hold import Hold
from holdstill_agent.log import Log
from holdstill_agent.loop import Loop
from holdstill_agent.notify import Supervisor
from holdstill_agent.preflight import Preflight
from holdstill_protocol.host_model import Host, Shutdown

_FAREWELL_S = 5.0  # for the last replies
_SWITCH_S = 0.0005  # how long the loop's thread waits for another at most; Python's 5 ms are long


def main() -> int:
    """Return 0 if all went well, 1 after a failed check or a bug, 2 for a wrong configuration."""
    parser = argparse.ArgumentParser(prog="holdstill-agent", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="agent.toml")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="run the pre-flight alone, then exit")
    what.add_argument("--recover", action="store_true", help="undo what a crash left, then exit")
    parser.add_argument("--version", action="version", version=f"holdstill-agent {__version__}")
    arguments = parser.parse_args()
    try:
        config = load(arguments.config.absolute())
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - to the person who started it
        return 2
    if arguments.check:
        return check(config)
    if arguments.recover:
        log = Log()
        recovered = Hold(config, note=log.event).recover()
        log.flush()
        return 0 if recovered else 1
    return run(config)


def check(config: Config) -> int:
    """Run the pre-flight, print each check with its result, and let go of everything."""
    preflight = Preflight(config, monotonic_ms() + config.quiet_patience_ms, _pause)
    try:
        preflight.run()
    finally:
        preflight.close()
    for one in preflight.checks:
        line = f"{'ok    ' if one.passed else 'FAILED'}  {one.name}: {one.detail}"
        print(line.encode(errors="backslashreplace").decode())  # noqa: T201 - a path may be no text
    return 1 if preflight.code else 0


def run(config: Config) -> int:
    """Run until SIGTERM or SIGINT; whatever is held then is thawed, unlocked and reported."""
    log = Log()
    log.event("started", version=__version__, target=config.target)
    hold = Hold(config, note=log.event)
    hold.recover()  # before all else: writers may be waiting
    with contextlib.suppress(OSError):  # what is wrong with it is the pre-flight's to say
        Path(config.state_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    # boto3 is a third of a second and most of the memory: a check needs neither.
    from holdstill_agent.queues import Receiver, Sender, make_client  # noqa: PLC0415

    sys.setswitchinterval(_SWITCH_S)
    supervisor = Supervisor.take()
    host = Host(
        target=config.target,
        budget_ms=config.budget_ms,
        lock=config.lock,
        freeze=config.freeze,
        max_clock_skew_ms=config.max_clock_skew_ms,
    )
    client = make_client(config.region)
    sender = Sender(client, config.commands_url, config.replies_url, log)
    loop = Loop(host, hold, sender, log, monotonic_ms, supervisor=supervisor)
    receiver = Receiver(client, config.commands_url, loop.deliver, sender.answered, log)
    broken: list[str] = []

    def stop_as_broken(what: threading.ExceptHookArgs) -> None:
        """Stop in order when a thread ends of a bug: an agent that no longer listens looks idle."""
        broken.append(repr(what.exc_value))
        loop.deliver(Shutdown())

    threading.excepthook = stop_as_broken
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: loop.deliver(Shutdown()))
    log.event("listening")
    log.flush()
    sender.start()
    receiver.start()
    supervisor.ready()
    loop.run()
    sender.finish(_FAREWELL_S)
    log.event("stopped", broken=broken)
    log.flush()
    return 1 if broken else 0


def _pause(pause_s: float) -> bool:
    time.sleep(pause_s)
    return True


if __name__ == "__main__":
    sys.exit(main())
