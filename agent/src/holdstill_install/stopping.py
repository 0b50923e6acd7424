"""The agent and its freezer stopped, before anything that they need is taken away."""

from collections.abc import Callable
from dataclasses import dataclass

from holdstill_install.errors import RefusedError
from holdstill_install.systemd import Systemctl, active

_FREEZERS = "holdstill-freezer@*.service"


@dataclass(frozen=True, slots=True)
class Stopped:
    """The units must not run, and must have left nothing undone.

    `ask` raises RefusedError if they have: a run may have begun after it was asked before, and the
    stop have cut off its end.
    """

    names: tuple[str, ...]
    ask: Callable[[], None]

    def pending(self) -> str | None:
        """Return what is to be done."""
        return f"run systemctl stop {' '.join(self.names)} {_FREEZERS}"

    def do(self) -> None:
        """Stop them; RefusedError: what ran was started again, to undo what it had begun."""
        running = active(list(self.names))
        Systemctl(("stop", *self.names)).do()
        Systemctl(("stop", _FREEZERS)).do()
        try:
            self.ask()
        except RefusedError as error:
            if not running:
                raise
            Systemctl(("start", *running)).do()
            raise RefusedError(f"{error} ({', '.join(running)}: stopped, and started again)") from (
                error
            )
