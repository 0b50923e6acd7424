"""Why the install or uninstall stopped; what was in place still works. Each says what to do."""


class InstallError(Exception):
    """The install or uninstall stopped."""


class RefusedError(InstallError):
    """Nothing was touched: it must not be done here, or not now."""


class PackageError(InstallError):
    """The file that this runs from is not whole, or not the packaged one."""


class AccountError(InstallError):
    """The agent's user or group could not be made or removed."""


class UnusableReleaseError(InstallError):
    """The new version does not run on this host's Python: it was not switched to."""


class UnfitConfigurationError(InstallError):
    """The new version cannot start with the agent.toml of this host: it was not switched to."""


class SystemctlError(InstallError):
    """systemd refused."""
