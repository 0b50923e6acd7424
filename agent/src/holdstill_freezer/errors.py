"""Why the freezer will not serve; nothing is held. The `code` goes to the client, for machines."""


class FreezerError(Exception):
    """The freezer cannot serve."""

    code = "unavailable"


class UnsafeConfigError(FreezerError):
    """Somebody other than root could tell this process what to freeze."""

    code = "unsafe-config"


class BadConfigError(FreezerError):
    """The part of agent.toml that the freezer reads is missing or wrong."""

    code = "bad-config"


class UnfitMountError(FreezerError):
    """Freezing this path would freeze the wrong thing, or the host itself."""

    code = "unfit-mount"


class NotPermittedError(FreezerError):
    """The process lacks CAP_SYS_ADMIN, without which FIFREEZE is refused."""

    code = "not-permitted"


class StrangerError(FreezerError):
    """Somebody is at the socket who may not freeze; agent.toml says who may."""

    code = "not-permitted"


class BusyError(FreezerError):
    """Another freezer lives, with the same run_dir: one freeze at a time."""

    code = "busy"
