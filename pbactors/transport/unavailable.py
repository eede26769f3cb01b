"""Why an address cannot be bound, and what to do about it, in words."""

from __future__ import annotations

import errno
import os

from pbactors.errors import AddressUnavailable

__all__ = ["unavailable"]


def unavailable(address: str, key: str, number: int) -> AddressUnavailable:
    """Return the error to raise.

    Args:
        address: what was to be bound.
        key: which key of the node it comes from, unless ``bind`` or ``bind_heartbeat`` is given:
            ``address`` or ``heartbeat``.
        number: the ``errno``.
    """
    scheme, _, rest = address.partition("://")
    bind_key = "bind" if key == "address" else f"bind_{key}"
    if number == errno.EADDRINUSE:
        advice = "is another process using it?"
        if scheme == "tcp":
            advice += f" Find out with: ss -ltnp 'sport = :{rest.rpartition(':')[2]}'"
        elif scheme == "ipc":
            advice += f" Find out with: fuser {rest}"
    elif number in (errno.EADDRNOTAVAIL, errno.ENODEV):
        advice = f"this host has no such address; set {bind_key!r} to one that it has"
    elif number in (errno.EINVAL, errno.EPROTONOSUPPORT):
        advice = "expected tcp://HOST:PORT, ipc://PATH or inproc://NAME"
    else:
        advice = f"choose another in {bind_key!r}"
    return AddressUnavailable(
        f"cannot listen on {address} (the node's {key!r} or {bind_key!r}): "
        f"{os.strerror(number)}; {advice}"
    )
