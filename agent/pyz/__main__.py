"""Start the installer; first say plainly which Python is needed, to any Python since 2.7."""

import os
import sys

NEEDED = (3, 11)


def newer_ones():
    # type: () -> list[str]
    """Return the Pythons on this host that are new enough, by path."""
    found = []
    for minor in range(NEEDED[1], NEEDED[1] + 10):
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
            path = os.path.join(folder, "python3.%d" % minor)
            if os.access(path, os.X_OK) and path not in found:
                found.append(path)
    return found


def refusal():
    # type: () -> str | None
    """Return what to say to a Python that is too old, else None."""
    if sys.version_info >= NEEDED:
        return None
    said = "holdstill: this is Python %d.%d, and the agent needs 3.11 or later: " % (
        sys.version_info[0],
        sys.version_info[1],
    )
    again = " %s %s\n" % (sys.argv[0], " ".join(sys.argv[1:]))
    found = newer_ones()
    if found:
        return said + "this host has one, so run\n  " + found[0] + again
    install = (
        "install it beside this one (Amazon Linux, RHEL: dnf install python3.11; Debian, Ubuntu:"
        " apt install python3.11), then run\n  python3.11"
    )
    return said + install + again


if __name__ == "__main__":
    why = refusal()
    if why:
        sys.stderr.write(why)
        sys.exit(1)
    from holdstill_install.__main__ import main

    sys.exit(main())
