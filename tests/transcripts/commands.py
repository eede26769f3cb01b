"""The commands of a transcript. ``README.md`` lists them for who writes one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pbactors.protocol.core import Slept, Timer
from pbactors.protocol.message import REGISTRY
from pbactors.protocol.messages import Message
from tests.protocol.network import VIEW, Packet
from tests.transcripts.recorded import Recorded

__all__ = ["Conductor"]

KINDS = {kind.__name__: kind for kind in REGISTRY.values()}
QUIETLY = "quietly "


class Which(NamedTuple):
    """Some of the packets in flight: ``Forward from a to b``; what is left out is any."""

    kind: type[Message] = Message
    source: str | None = None
    target: str | None = None

    def meets(self, packet: Packet) -> bool:
        """Tell whether a packet is one of them."""
        return (
            isinstance(packet.message, self.kind)
            and self.source in (None, packet.source)
            and self.target in (None, packet.target)
        )


class Conductor:
    """Does commands on a network, and returns what came of each."""

    def __init__(self) -> None:
        self._network = Recorded()
        self._held: list[Which] = []

    def run(self, command: str) -> list[str]:
        """Do one command, or several with semicolons between.

        Raises:
            ValueError: it makes no sense; the text says what was expected.
        """
        quietly = command.startswith(QUIETLY)
        for one in command.removeprefix(QUIETLY).split(";"):
            self._do(one)
        lines = self._network.taken()
        return ["..."] if quietly else lines or ["(nothing)"]

    def _do(self, command: str) -> None:
        name, *words = command.split()
        act = self._commands().get(name)
        if act is None:
            known = ", ".join(sorted(self._commands()))
            raise ValueError(f"no command {name!r}. Expected one of {known}; example: 'ping a b'")
        try:
            act(words)
        except KeyError as error:
            raise ValueError(
                f"{command!r}: {error.args[0]!r} does not run, or is not set"
            ) from error

    def _commands(self) -> dict[str, Callable[[list[str]], None]]:
        return {
            "start": self._start,
            "restart": self._start,
            "client": self._start_clients,
            "stop": lambda words: self._network.stop(*words),
            "ping": lambda words: self._fire(Timer.PING, words),
            "resend": lambda words: self._fire(Timer.RESEND, words),
            "retry": lambda words: self._fire(Timer.RETRY, words),
            "check": lambda words: self._fire(Timer.PING_CHECK, [VIEW] * (int(*words or "1"))),
            "slept": self._sleep,
            "call": self._call,
            "deliver": self._deliver,
            "repeat": lambda words: self._deliver(words, keep=True),
            "drop": self._drop,
            "hold": lambda words: self._held.append(_which(words)),
            "release": lambda words: self._held.clear(),
            "settle": lambda words: self._settle(),
            "cut": self._cut,
            "mend": lambda words: self._network.cut.clear(),
            "status": lambda words: self._status(),
            "flight": lambda words: self._flight(),
        }

    # -- nodes --------------------------------------------------------------------------------

    def _start(self, words: list[str]) -> None:
        for word in words:
            if word == VIEW:
                self._network.start_view_server()
            else:
                self._network.start(word)

    def _start_clients(self, words: list[str]) -> None:
        for word in words:
            self._network.start_client(word)

    def _sleep(self, words: list[str]) -> None:
        for word in words:
            self._network.note(word, "*", "notices that it slept")
            self._network.act(word, lambda core, out: core.on_signal(Slept(), out))

    def _fire(self, timer: Timer, names: list[str]) -> None:
        for name in names:
            self._network.fire(name, timer)

    def _call(self, words: list[str]) -> None:
        client, method, *arguments = words
        self._network.call(client, method, *arguments)

    # -- messages -----------------------------------------------------------------------------

    def _waiting(self, which: Which) -> list[Packet]:
        waiting = self._network.waiting(*which)
        if not waiting:
            raise ValueError(f"no such message is in flight: {which}. 'flight' shows all")
        return waiting

    def _deliver(self, words: list[str], keep: bool = False) -> None:
        every = words[:1] == ["all"]
        waiting = self._waiting(_which(words[every:]))
        for packet in waiting if every else waiting[:1]:
            self._network.deliver(packet, keep)

    def _drop(self, words: list[str]) -> None:
        which = _which(words)
        self._waiting(which)
        self._network.drop(*which)

    def _settle(self) -> None:
        self._network.settle(hold=lambda packet: any(held.meets(packet) for held in self._held))

    def _cut(self, words: list[str]) -> None:
        """Cut the links from the first to all others, both ways."""
        one, *others = words
        self._network.cut |= {pair for other in others for pair in ((one, other), (other, one))}

    # -- looking ------------------------------------------------------------------------------

    def _status(self) -> None:
        for name, node in self._network.nodes.items():
            status = node.core.status()
            op = f", executed to op {status.op}" if status.op else ""
            self._network.note(name, "=", f"{status.view}: {status.state}{op}")

    def _flight(self) -> None:
        for packet in self._network.in_flight:
            self._network.note_message(packet.source, "..", packet.target, packet.message)


def _which(words: list[str]) -> Which:
    """Return which packets are meant by ``KIND from NODE to NODE``."""
    kind, source, target = Message, None, None
    rest = list(words)
    if rest and rest[0] in KINDS:
        kind = KINDS[rest.pop(0)]
    if rest[:1] == ["from"]:
        source, rest = rest[1], rest[2:]
    if rest[:1] == ["to"]:
        target, rest = rest[1], rest[2:]
    if rest:
        raise ValueError(
            f"{' '.join(words)!r} names no messages. Expected KIND from NODE to NODE, or parts of "
            f"it, for example 'deliver Forward from a'; kinds are {', '.join(sorted(KINDS))}"
        )
    return Which(kind, source, target)
