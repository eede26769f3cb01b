"""A place of its own for a storm: namespaces of network, processes and mounts.

Nothing in it has a name outside, so two storms cannot meet. Its first process is the storm; when
that ends, however it does, the kernel ends every other process in it, also stopped ones, and with
the last process the networks are gone. So nothing is left behind, even after ``kill -9``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Final

__all__ = ["SYSTEM_PATH", "enclosed", "missing"]

SYSTEM_PATH: Final = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
"""Where the tools are looked for; a user's PATH often lacks the last two."""

PACKAGES: Final = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
}
"""The Debian package of each tool."""

STEPS: Final = {
    "bring up a loopback interface": "ip link set lo up",
    "make a bridge": "ip link add storm type bridge",
    "make a virtual link": "ip link add storm0 type veth peer name storm1",
    "make a network namespace inside another": "unshare --net true",
    "drop packets at random with nftables": (
        "nft 'table inet storm { chain arriving { type filter hook input priority 0;"
        " ip saddr 192.0.2.1 numgen random mod 100 < 20 drop; }; }'"
    ),
    "slow a link down with a token bucket": (
        "tc qdisc add dev storm0 root tbf rate 1mbit burst 4kb latency 50ms"
    ),
}
"""What a storm needs the kernel to allow, and how that is tried."""


def enclosed(command: Sequence[str]) -> list[str]:
    """Return a command that runs ``command`` as the first process of an enclosure.

    Who is not root becomes so inside, where the system allows that.
    """
    become_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    kinds = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    unshare = shutil.which("unshare", path=SYSTEM_PATH) or "unshare"
    return [unshare, *become_root, *kinds, *command]


def missing() -> str | None:
    """Return what this machine lacks for a storm with cut links, for a person, or None."""
    for tool, package in PACKAGES.items():
        if shutil.which(tool, path=SYSTEM_PATH) is None:
            return f"{tool} is missing; install it, for example: apt-get install {package}"
    script = "\n".join(
        f'{command} || {{ echo "this system does not let us {what}" >&2; exit 1; }}'
        for what, command in STEPS.items()
    )
    tried = subprocess.run(
        enclosed(["sh", "-c", script]),
        env={**os.environ, "PATH": SYSTEM_PATH},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if tried.returncode == 0:
        return None
    said = "; ".join(tried.stderr.split("\n")).strip("; ")
    return f"no namespaces for networks and processes ({said}); run as root"
