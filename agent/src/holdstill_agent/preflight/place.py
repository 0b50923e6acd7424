"""Whether the server that is to be locked is on this host, as the disk that is to be frozen is.

A primary has the same paths as its replica: by its paths alone it would pass for this host's own.
"""

import ipaddress
import socket

from holdstill_agent.database import Database
from holdstill_agent.errors import CheckFailedError

_USE_THE_SOCKET = "in the option file's [client] write `socket` instead of `host`"


def require_this_host(database: Database) -> None:
    """Raise CheckFailedError unless the session's server is on this host.

    What a Unix socket leads to is. By TCP two things must agree: the address is one of this
    host's, which alone a tunnel's or a proxy's would be as well; and the server, asked, has this
    host's name, which one in a container has not.
    """
    addresses = database.addresses()
    if addresses is None:
        return
    own, peer = addresses
    # A connection to an address of this host comes from that very address, or from a loopback one.
    if own != peer and not _is_loopback(peer):
        raise CheckFailedError(
            f"the server is at {peer}, which is no address of this host ({own}): its lock would not"
            f" hold the writes to this host's disk; run the agent there, or {_USE_THE_SOCKET}"
        )
    (name,) = database.row("SELECT @@hostname")
    if name != socket.gethostname():
        raise CheckFailedError(
            f"the server behind {peer} calls its host {name}, and this one is"
            f" {socket.gethostname()}: it may be elsewhere, behind a tunnel or proxy, or in a"
            " container; if this host was renamed since, restart the server and the agent;"
            f" otherwise {_USE_THE_SOCKET}"
        )


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
