"""The scripted network with a pencil: every step is written down, a line for each thing it did."""

from __future__ import annotations

from pbactors.config import Limits
from pbactors.machines.calls import decode_outcome
from pbactors.protocol import core as effects
from pbactors.protocol.core import Core
from pbactors.protocol.events import ClusterJoined, Ignored, ViewAcknowledged, ViewInstalled
from pbactors.protocol.messages import Message
from pbactors.protocol.operations import Kind
from pbactors.protocol.replica import Replica
from pbactors.sim.watched import Executed, WatchedState, watch
from pbactors.trace import describe
from pbactors.trace.bodies import call_in_words
from tests.protocol.network import Kinds, Network, Node, Packet

__all__ = ["Recorded"]

NAME = 5
"""Width of the columns of names: the longest is ``view``."""

LIMITS = Limits(snapshot_piece_bytes_max=60, pieces_in_flight_max=2)
"""Small pieces, so that a transfer has several."""


class Recorded(Network):
    """A network that writes down what happens."""

    def __init__(self, replicas: str = "abc") -> None:
        super().__init__(replicas, dead_pings=2, limits=LIMITS)
        self._lines: list[str] = []
        self._sent: dict[Packet, int] = {}
        self._acting = ""

    def taken(self) -> list[str]:
        """Return what happened since the last time. What was sent and has arrived in between is
        told once, where it arrives.
        """
        under_way = set(self.in_flight)
        told = {line for packet, line in self._sent.items() if packet not in under_way}
        lines = [line for place, line in enumerate(self._lines) if place not in told]
        self._lines, self._sent = [], {}
        return lines

    def note(self, node: str, sign: str, text: str) -> None:
        """Write down one thing that happened at a node."""
        self._lines.append(f"{node:<{NAME}} {sign:<2} {text}".rstrip())

    def note_message(self, node: str, sign: str, peer: str, message: Message) -> None:
        """Write down that a message is sent, arrives or is lost."""
        self.note(node, sign, f"{peer:<{NAME}} {describe(message)[0]}")

    # -- nodes --------------------------------------------------------------------------------

    def _start(self, name: str, core: Core) -> None:
        self.note(name, "+", "starts" if name not in self.nodes else "starts again, empty")
        if isinstance(core, Replica):
            watch(core, self._executed)
        super()._start(name, core)

    def stop(self, *names: str) -> None:
        """Kill nodes, and say so."""
        super().stop(*names)
        for name in names:
            self.note(name, "-", "stops")

    def _executed(self, _state: WatchedState, op: int, what: Executed) -> None:
        session, number, _, kind, body = what.operation
        calls = {
            Kind.OPEN: "open a session",
            Kind.CALL: f"{call_in_words(body)}, session {session} number {number}",
            Kind.CLOSE: f"close session {session}",
        }
        self.note(self._acting, "!", f"executes op {op}: {calls[Kind(kind)]}")

    # -- steps --------------------------------------------------------------------------------

    def act(self, name: str, *steps: object) -> None:
        """Do steps on one core, and remember whose they are."""
        before, self._acting = self._acting, name
        super().act(name, *steps)  # type: ignore[arg-type]
        self._acting = before

    def _perform(self, name: str, node: Node, effect: effects.Effect) -> None:
        match effect:
            case effects.Persist(record):
                acked = ", acknowledged" if record.acked else ""
                self.note(name, "*", f"stores {record.view}{acked}")
            case effects.Emit(Ignored(kind, reason)):
                self.note(name, "*", f"ignores the {kind.__name__}: {reason}")
            case effects.Emit(ViewInstalled() | ViewAcknowledged()) if name == "view":
                pass  # it says nothing that storing the view has not said
            case effects.Emit(ClusterJoined()):
                self.note(name, "*", "joins the cluster")
            case effects.Emit(event):
                self.note(name, "*", str(event))
            case effects.Complete(call, outcome, _):
                result = "may have happened" if outcome is None else repr(decode_outcome(outcome))
                self.note(name, "=>", f"call {call}: {result}")
            case _:
                pass
        super()._perform(name, node, effect)

    # -- messages -----------------------------------------------------------------------------

    def inject(self, source: str, target: str, message: Message) -> Packet:
        """Put a message on its way."""
        packet = super().inject(source, target, message)
        self._sent[packet] = len(self._lines)
        self.note_message(source, "->", target, message)
        return packet

    def deliver(self, packet: Packet, keep: bool = False) -> None:
        """Deliver a packet; where nobody is, or a link is cut, it is lost."""
        lost = packet.target not in self.nodes or (packet.source, packet.target) in self.cut
        self.note_message(packet.target, "x-" if lost else "<-", packet.source, packet.message)
        super().deliver(packet, keep)

    def drop(
        self, kind: Kinds = Message, source: str | None = None, target: str | None = None
    ) -> int:
        """Lose packets in flight, and say which."""
        for packet in self.waiting(kind, source, target):
            self.note_message(packet.target, "x-", packet.source, packet.message)
        return super().drop(kind, source, target)
