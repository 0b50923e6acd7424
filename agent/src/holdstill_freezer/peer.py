"""Who is at the other end of the freezer's socket, as the kernel noted it when they connected."""

import os
import pwd
import socket
import struct

from holdstill_freezer.errors import StrangerError

_CREDENTIALS = struct.Struct("iII")  # struct ucred of unix(7): pid, uid, gid


def require_permitted(line: socket.socket, client_user: str) -> None:
    """Raise StrangerError unless it is root, this process's own user, or `client_user`.

    The socket's group and mode are the first gate; this one still stands where somebody widened
    that mode. Nothing that the peer sends is read before.
    """
    packed = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(packed)
    if uid in (0, os.geteuid()):
        return
    try:
        permitted = pwd.getpwnam(client_user).pw_uid
    except KeyError:
        raise StrangerError(f"user {uid}; freeze.client_user, {client_user}, is unknown") from None
    if uid != permitted:
        raise StrangerError(f"user {uid} is not freeze.client_user, {client_user}")
