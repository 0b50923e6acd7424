"""A real systemd in a container, on a copy of this machine's own root: what the agent's units see.

`overlay`    the machine's root with a layer in memory above it
`cgroups`    a control group of its own for all that runs in the container
`container`  boots systemd in there, runs commands, and takes everything down
`host`       a database host in the container: MariaDB on XFS, the agent as its package installs it
`oom`        the kernel's own out-of-memory killer, called on one process of a unit
"""

from lab.systemd.container import Container
from lab.systemd.host import SystemdHost

__all__ = ["Container", "SystemdHost"]
