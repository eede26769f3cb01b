"""Where the processes of a storm live: each on a host of its own, or all on this one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

from tests.processes import free_ports, wait_until
from tests.storm.enclosure import SYSTEM_PATH

__all__ = ["Cut", "Hosts", "Loopback", "SeparateHosts"]

NETWORK: Final = "10.77.0"
"""Known inside the enclosure alone."""

PORTS: Final = (7400, 7401)
"""For messages and heartbeats. Each host has a network of its own, so nobody else wants them."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """Packets that are lost on the way. Cuts may overlap; the worst of them counts.

    Attributes:
        links: pairs of sending and receiving host.
        percent: how many are lost.
    """

    links: frozenset[tuple[str, str]]
    percent: int = 100


class Hosts(Protocol):
    """Where processes run and how they reach each other."""

    can_cut: bool

    def address(self, host: str) -> tuple[str, str]:
        """Return where a node on that host is reached, and where it publishes heartbeats."""

    def command(self, host: str, command: Sequence[str]) -> list[str]:
        """Return the command that runs ``command`` there, under the process id it is started."""

    def cut(self, cut: Cut) -> None:
        """Lose packets from now on."""

    def mend(self, cut: Cut) -> None:
        """Lose them no more."""

    def slow(self, host: str, kilobits_per_second: int | None) -> None:
        """Limit what leaves a host; None for as fast as it can."""


class Loopback:
    """Everything on this host, where nothing can be cut."""

    can_cut = False

    def address(self, host: str) -> tuple[str, str]:
        """Return two addresses with free ports."""
        first, second = (f"tcp://127.0.0.1:{port}" for port in free_ports(2))
        return first, second

    def command(self, host: str, command: Sequence[str]) -> list[str]:
        """Return a command that ends with this process, where the system can see to that."""
        setpriv = shutil.which("setpriv", path=SYSTEM_PATH)
        bound = [] if setpriv is None else [setpriv, "--pdeathsig", "KILL"]
        return [*bound, *command]

    def cut(self, cut: Cut) -> None:
        """Refuse: there are no links."""
        raise RuntimeError("links on one host cannot be cut")

    def mend(self, cut: Cut) -> None:
        """Refuse: there are no links."""
        raise RuntimeError("links on one host cannot be cut")

    def slow(self, host: str, kilobits_per_second: int | None) -> None:
        """Refuse: there are no links."""
        raise RuntimeError("links on one host cannot be slowed")


class SeparateHosts:
    """A network namespace for each host, all at one bridge. Works inside an enclosure only.

    This process is at the bridge too and is never cut off, so that it can ask everybody.

    Args:
        names: of the hosts.
    """

    can_cut = True

    def __init__(self, names: Sequence[str]) -> None:
        self._numbers = {name: number for number, name in enumerate(names, start=1)}
        self._holders: dict[str, subprocess.Popen[bytes]] = {}
        self._cuts: list[Cut] = []
        self._slow: set[str] = set()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            _run(["ip", "link", "set", "lo", "up"])
            _run(["ip", "link", "add", "storm", "type", "bridge"])
            undo.callback(_run, ["ip", "link", "delete", "storm"])
            _run(["ip", "address", "add", f"{NETWORK}.254/24", "dev", "storm"])
            _run(["ip", "link", "set", "storm", "up"])
            for name in self._numbers:
                self._holders[name] = self._make(name, undo)
            self._stack = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _make(self, name: str, undo: ExitStack) -> subprocess.Popen[bytes]:
        """Make a host, and return the process that keeps its namespace."""
        command = ["unshare", "--net", "sleep", "infinity"]
        holder = subprocess.Popen(command, env=_environment(), stdin=subprocess.DEVNULL)
        undo.callback(_end, holder)
        ours = os.readlink("/proc/self/ns/net")
        entry = Path(f"/proc/{holder.pid}/ns/net")
        wait_until(lambda: os.readlink(entry) != ours, what=f"a network for {name}")
        number = self._numbers[name]
        port = f"port{number}"
        peer = ["peer", "name", "eth0", "netns", str(holder.pid)]
        _run(["ip", "link", "add", port, "type", "veth", *peer])
        # it would go with the namespace, but nobody knows when the kernel comes to that
        undo.callback(_run, ["ip", "link", "delete", port])
        _run(["ip", "link", "set", port, "master", "storm", "up"])
        inside = _entering(holder)
        _run([*inside, "ip", "link", "set", "lo", "up"])
        _run([*inside, "ip", "address", "add", f"{self._ip(name)}/24", "dev", "eth0"])
        _run([*inside, "ip", "link", "set", "eth0", "up"])
        return holder

    def _ip(self, name: str) -> str:
        return f"{NETWORK}.{self._numbers[name]}"

    def address(self, host: str) -> tuple[str, str]:
        """Return the addresses of a node on that host."""
        first, second = (f"tcp://{self._ip(host)}:{port}" for port in PORTS)
        return first, second

    def command(self, host: str, command: Sequence[str]) -> list[str]:
        """Return the command that runs ``command`` there; it keeps its process id."""
        return [*_entering(self._holders[host]), *command]

    def cut(self, cut: Cut) -> None:
        """Lose packets from now on."""
        self._cuts.append(cut)
        self._write_rules({target for _, target in cut.links})

    def mend(self, cut: Cut) -> None:
        """Lose them no more, except where another cut is in the way."""
        self._cuts.remove(cut)
        self._write_rules({target for _, target in cut.links})

    def _write_rules(self, targets: Collection[str]) -> None:
        """Replace the rules of receiving hosts at once."""
        for target in targets:
            lost: dict[str, int] = {}
            for cut in self._cuts:
                for source, receiver in cut.links:
                    if receiver == target:
                        lost[source] = max(cut.percent, lost.get(source, 0))
            rules = "\n".join(
                f"ip saddr {self._ip(source)} {_part(percent)}drop"
                for source, percent in sorted(lost.items())
            )
            text = (
                "table inet storm\ndelete table inet storm\ntable inet storm {\nchain arriving {\n"
                f"type filter hook input priority 0\n{rules}\n}}\n}}\n"
            )
            _run([*_entering(self._holders[target]), "nft", "-f", "-"], text)

    def slow(self, host: str, kilobits_per_second: int | None) -> None:
        """Limit what leaves a host; None for as fast as it can."""
        queue = [*_entering(self._holders[host]), "tc", "qdisc"]
        if kilobits_per_second is None:
            if host in self._slow:
                self._slow.discard(host)
                _run([*queue, "delete", "dev", "eth0", "root"])
            return
        rate = ["rate", f"{kilobits_per_second}kbit", "burst", "4kb", "limit", "64kb"]
        self._slow.add(host)
        _run([*queue, "replace", "dev", "eth0", "root", "tbf", *rate])


def _part(percent: int) -> str:
    return "" if percent >= 100 else f"numgen random mod 100 < {percent} "


def _entering(holder: subprocess.Popen[bytes]) -> list[str]:
    nsenter = shutil.which("nsenter", path=SYSTEM_PATH) or "nsenter"
    return [nsenter, f"--net=/proc/{holder.pid}/ns/net", "--"]


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": SYSTEM_PATH}


def _run(command: Sequence[str], text: str = "") -> None:
    done = subprocess.run(
        command, env=_environment(), input=text, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        print(f"{' '.join(command)}: {done.stderr}", file=sys.stderr)
        done.check_returncode()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
