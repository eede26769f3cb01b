"""How an address may be spelled, and which addresses must differ."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

__all__ = ["ADDRESSES", "Addressed", "Place", "clashes", "resolved", "wrong_address"]

ADDRESSES = ("address", "heartbeat", "bind", "bind_heartbeat")
"""The keys of a node that hold addresses."""

IPC_PATH_BYTES_MAX = 107
INPROC_NAME_BYTES_MAX = 255

_EXPECTED = {
    "tcp": "tcp://HOST:PORT",
    "ipc": "ipc://PATH",
    "inproc": "inproc://NAME",
}
_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")

Place: TypeAlias = tuple[int, str]
"""Where an address stands: index of the node, and key."""


class Addressed(Protocol):
    """Whatever has the four addresses of a node; an empty text means that there is none."""

    @property
    def address(self) -> str: ...  # noqa: D102
    @property
    def heartbeat(self) -> str: ...  # noqa: D102
    @property
    def bind(self) -> str: ...  # noqa: D102
    @property
    def bind_heartbeat(self) -> str: ...  # noqa: D102


def resolved(address: str, folder: Path) -> str:
    """Return the address with the path of an ``ipc`` one made absolute, from ``folder``."""
    scheme, separator, path = address.partition("://")
    if scheme != "ipc" or path in ("", "*"):
        return address
    return f"{scheme}{separator}{folder / path}"


def wrong_address(key: str, address: str, *, port_zero: bool) -> tuple[str, str] | None:
    """Return what was expected of an address and why it is not that, or None.

    Args:
        key: which of ``ADDRESSES`` it is. Only the binds may name every interface.
        address: an address after ``resolved``.
        port_zero: whether port 0 may stand in a ``tcp`` address.
    """
    scheme, separator, rest = address.partition("://")
    if scheme not in _EXPECTED or not separator:
        forms = list(_EXPECTED.values())
        return f"{', '.join(forms[:-1])} or {forms[-1]}", "it begins with none of these"
    if scheme == "tcp":
        reason = _wrong_tcp(rest, key.startswith("bind"), port_zero)
    elif scheme == "ipc":
        reason = _wrong_ipc(rest)
    else:
        reason = _wrong_inproc(rest)
    return (_EXPECTED[scheme], reason) if reason else None


def _wrong_tcp(rest: str, listens: bool, port_zero: bool) -> str | None:
    if rest.count(":") > 1 and not rest.startswith("["):
        return "an IPv6 address stands in brackets, as in tcp://[::1]:7410"
    host, colon, port = rest.rpartition(":")
    if not colon or not port or rest.endswith("]"):
        return "the port is missing"
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        return "the port is no number from 1 to 65535"
    if int(port) == 0 and not port_zero:
        return "port 0 is for a process that starts all nodes itself"
    if not host:
        return "the host is missing"
    if _names_every_interface(host):
        return None if listens else "nobody can be reached at every interface; it belongs in bind"
    return _wrong_host(host)


def _wrong_host(host: str) -> str | None:
    if host.startswith("["):
        return None if _ip(host) else "what stands in brackets is no IPv6 address"
    if re.fullmatch("[0-9.]+", host):
        return None if _ip(host) else "the host is no IPv4 address"
    return None if _HOST_NAME.fullmatch(host) else "the host is no name and no IP address"


def _wrong_ipc(path: str) -> str | None:
    if path in ("", "*"):
        return "the path is missing"
    if not path.isprintable():
        return "the path has a character that cannot be printed"
    if len(os.fsencode(path)) > IPC_PATH_BYTES_MAX:
        return (
            f"with the folder of this file before it, it is longer than the {IPC_PATH_BYTES_MAX} "
            "bytes that a Unix socket may have"
        )
    return None


def _wrong_inproc(name: str) -> str | None:
    if not name:
        return "the name is missing"
    if len(name.encode()) > INPROC_NAME_BYTES_MAX:
        return f"the name is longer than {INPROC_NAME_BYTES_MAX} bytes"
    return None


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        if host.startswith("[") and host.endswith("]"):
            return ipaddress.IPv6Address(host[1:-1])
        return ipaddress.IPv4Address(host)
    except ValueError:
        return None


def _names_every_interface(host: str) -> bool:
    ip = _ip(host)
    return host == "*" or (ip is not None and ip.is_unspecified)


def clashes(nodes: Sequence[Addressed]) -> Iterator[tuple[Place, Place]]:
    """Yield every place whose address stands in an earlier place already, with that place.

    The address of a socket and where it binds may be equal. Two nodes may both listen at "every
    interface, port 7410": they stand on different hosts. Port 0 never clashes.
    """
    first: dict[tuple[object, ...], tuple[tuple[int, str], Place]] = {}
    for index, node in enumerate(nodes):
        for key in ADDRESSES:
            comparable = _comparable(getattr(node, key), index)
            if comparable is None:
                continue
            socket = (index, "heartbeat" if key.endswith("heartbeat") else "requests")
            earlier, place = first.setdefault(comparable, (socket, (index, key)))
            if earlier != socket:
                yield (index, key), place


def _comparable(address: str, index: int) -> tuple[object, ...] | None:
    """Return what two addresses that cannot both be listened at have in common."""
    scheme, _, rest = address.partition("://")
    if scheme == "ipc":
        return (scheme, os.path.normpath(rest))
    if scheme != "tcp":
        return (scheme, rest) if scheme else None
    host, _, port = rest.rpartition(":")
    if int(port) == 0:
        return None
    if _names_every_interface(host):
        return (scheme, index, int(port))
    return (scheme, _ip(host) or host.lower(), int(port))
