"""What can go wrong on the host, by whose fault. The agent never dies of a HostError."""

from holdstill_protocol.messages import RefusalCode


class AgentError(Exception):
    """Anything that the agent says no to."""


class ConfigError(AgentError):
    """The operator's agent.toml; `faults` has every one, each with its key and what to do."""

    def __init__(self, path: str, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(f"{path}: {fault}" for fault in faults))
        self.faults = faults


class HostError(AgentError):
    """The host cannot be quiesced now; `code` is what the conductor is told."""

    code = RefusalCode.PREFLIGHT_FAILED


class CheckFailedError(HostError):
    """A check of the pre-flight did not pass."""


class StateUnwritableError(HostError):
    """What must be undone after a crash cannot be recorded; so nothing of it is done."""


class HookFailedError(HostError):
    """The operator's `before_lock` failed, or took longer than its limit."""

    code = RefusalCode.HOOK_FAILED


class FreezerUnavailableError(HostError):
    """The freezer did not start, refused to serve, or its line ended.

    `recovered`: it said that nothing is left frozen by a dead one.
    """

    code = RefusalCode.FREEZER_UNAVAILABLE

    def __init__(self, detail: str, *, recovered: bool = False) -> None:
        super().__init__(detail)
        self.recovered = recovered


class FreezeFailedError(HostError):
    """The freezer tried and could not, or did not answer in time; it holds nothing, or soon."""

    code = RefusalCode.FREEZE_FAILED


class AlreadyFrozenError(HostError):
    """Somebody else froze the filesystem; it is not ours to thaw."""

    code = RefusalCode.ALREADY_FROZEN


class LockFailedError(HostError):
    """MySQL refused the lock, or the connection was lost; the connection is closed."""

    code = RefusalCode.LOCK_FAILED


class NoAnswerError(LockFailedError):
    """A statement was not answered in time: it may still hang in the server, lock and all."""


class LockTimeoutError(HostError):
    """Other sessions kept the database from being locked in time; the connection is closed."""

    code = RefusalCode.LOCK_TIMEOUT


class ExpiredError(HostError):
    """The lock took longer than the conductor's patience: freezing now would be for nobody."""

    code = RefusalCode.EXPIRED
