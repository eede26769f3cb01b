"""The space of states: what the whole may be, and what it may become next.

A state of the whole is a tuple of small numbers: which messages were ever sent (a bit for each),
what clients have seen, and each node. Equal nodes get equal numbers, and a step of a node is
computed once for each thing that can be handed to it, however often the search comes by. Most of
a search is therefore looking up numbers; this is what lets Python visit millions of states.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import NamedTuple, TypeAlias

from pbactors.ensemble import VIEW_SERVER
from pbactors.explore.bounds import Bounds
from pbactors.explore.node import Fault, Input, Node, Packet, Stage, Step
from pbactors.protocol.core import ConnectionLost, Timer
from pbactors.protocol.invariants import Answered
from pbactors.protocol.messages import Forward, Piece

__all__ = ["HISTORY", "NODES", "Action", "Completion", "History", "Move", "Reach", "Space", "State"]

State: TypeAlias = tuple[int, ...]
"""(messages ever sent, history, node, node, ...), in the order of ``Stage.names``."""

NETWORK, HISTORY, NODES = 0, 1, 2


class Completion(NamedTuple):
    """A call that ended: a client's name, the call's number from 1, its outcome."""

    client: str
    call: int
    outcome: bytes | None


class History(NamedTuple):
    """What was answered so far.

    Attributes:
        answered: how far answers have gone.
        completions: the calls that ended, in the order in which they did.
    """

    answered: Answered
    completions: tuple[Completion, ...]


class Action(NamedTuple):
    """One step of the whole: something is handed to a node.

    Attributes:
        node: whose step it is.
        given: a message, a timer, a fault or a signal.
        torn: whether the node crashes just before it stores what the step decided.
    """

    node: str
    given: Input
    torn: bool = False

    def __str__(self) -> str:
        ending = f", and {Fault.TORN.value}" if self.torn else ""
        if isinstance(self.given, Fault):
            return f"{self.node} {self.given.value}"
        if isinstance(self.given, Timer):
            return f"{self.node}: the {self.given.value} timer fires{ending}"
        if isinstance(self.given, ConnectionLost):
            return f"{self.node}: {self.given}{ending}"
        return f"{self.node} takes {self.given.message} from {self.given.source}{ending}"


_Other: TypeAlias = Timer | Fault | ConnectionLost

Key: TypeAlias = int | _Other
"""What may be handed to a node: a message by its number, a timer, a fault, a signal."""

Move: TypeAlias = tuple[State, int, Key, bool, str | None]
"""(state afterwards, slot of the node, what is handed to it, torn, the rule that breaks or None):
an action in numbers. A plain tuple, because a search makes several for each state it visits.
"""


class _Result(NamedTuple):
    """A step in numbers."""

    node: int
    sent: int
    note: Step | None  # the step itself where it says more than these numbers


class Space:
    """All nodes, messages and histories that were met so far, by number.

    Args:
        stage: makes and steps nodes.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.names = stage.names
        self.nodes: list[Node] = []
        self.packets: list[Packet] = []
        self.histories: list[History] = []
        self._node_numbers: dict[Hashable, int] = {}
        self._packet_numbers: dict[tuple[str, str, bytes], int] = {}
        self._history_numbers: dict[History, int] = {}
        self._histories_after: dict[tuple[int, int], int] = {}
        self.results: list[dict[Key, _Result]] = []  # by node: the steps that are known
        self._torn: list[dict[Key, _Result | None]] = []

    def first(self) -> State:
        """Return the state in which every node has just started."""
        network = 0
        numbers = []
        for name in self.names:
            step = self.stage.start(name)
            numbers.append(self._number_of(step.node))
            network |= self._mask_of(step)
        return (network, self._history_number(History(Answered(0, b""), ())), *numbers)

    def rested(self, state: State) -> State:
        """Return the same state with nothing counted that bounds count."""
        nodes = (self._number_of(self.nodes[number].rested()) for number in state[NODES:])
        return (*state[:NODES], *nodes)

    # -- what numbers stand for ---------------------------------------------------------------

    def node(self, state: State, name: str) -> Node:
        """Return a node in a state."""
        return self.nodes[state[NODES + self.names.index(name)]]

    def history(self, state: State) -> History:
        """Return what was answered until a state."""
        return self.histories[state[HISTORY]]

    def sent(self, state: State) -> Iterator[Packet]:
        """Yield the messages ever sent, in the order in which the space met them first."""
        for number in _bits(state[NETWORK]):
            yield self.packets[number]

    def _number_of(self, node: Node) -> int:
        number = self._node_numbers.setdefault(node.key(), len(self.nodes))
        if number == len(self.nodes):
            self.nodes.append(node)
            self.results.append({})
            self._torn.append({})
        return number

    def _mask_of(self, step: Step) -> int:
        mask = 0
        for packet in step.sent:
            if packet.target not in self.names:
                continue
            key = (packet.source, packet.target, packet.body)
            number = self._packet_numbers.setdefault(key, len(self.packets))
            if number == len(self.packets):
                self.packets.append(packet)
            mask |= 1 << number
        return mask

    def _history_number(self, history: History) -> int:
        number = self._history_numbers.setdefault(history, len(self.histories))
        if number == len(self.histories):
            self.histories.append(history)
        return number

    # -- steps --------------------------------------------------------------------------------

    def result(self, number: int, key: Key) -> _Result:
        """Return what a node does with a message (by its number), a timer or a fault."""
        known = self.results[number].get(key)
        if known is None:
            step = self.stage.step(self.nodes[number], self.given(key))
            noted = step.answered or step.completed or step.violation
            note = step if noted else None
            known = _Result(self._number_of(step.node), self._mask_of(step), note)
            self.results[number][key] = known
        return known

    def torn(self, number: int, key: Key) -> _Result | None:
        """Return the step in which the node crashes before it stores anything, if it would."""
        if key not in self._torn[number]:
            step = self.stage.torn(self.nodes[number], self.given(key))
            result = step and _Result(self._number_of(step.node), self._mask_of(step), None)
            self._torn[number][key] = result
        return self._torn[number][key]

    def given(self, key: Key) -> Input:
        """Return what a key of a step stands for."""
        return self.packets[key] if isinstance(key, int) else key

    def history_after(self, number: int, name: str, step: Step) -> int:
        """Return the history after a step that answered or completed something."""
        key = (number, id(step))  # steps with something to note are kept for ever
        known = self._histories_after.get(key)
        if known is None:
            before = self.histories[number]
            answered = before.answered
            if step.answered is not None:
                answered = max(answered, step.answered)
            ended = tuple(Completion(name, call, outcome) for call, outcome in step.completed)
            known = self._history_number(History(answered, before.completions + ended))
            self._histories_after[key] = known
        return known


class Reach:
    """What may happen next in a state, within bounds.

    Args:
        space: where states are.
        bounds: how far to go.

    Attributes:
        pruned: how many moves would have gone beyond the bounds on views and confirm numbers.
    """

    def __init__(self, space: Space, bounds: Bounds) -> None:
        self.space = space
        self.bounds = bounds
        self.pruned = 0
        self._open = [0] * len(space.names)  # by target: messages whose link is open
        self._beyond_packets = 0
        self._sorted = 0
        self._inert: dict[int, int] = {}  # by node: messages that change nothing at all
        self._others: dict[int, list[_Other]] = {}  # by node: what else may happen to it
        self._tearable: set[int] = set()
        self._beyond_nodes: dict[int, bool] = {}

    def moves(self, state: State) -> Iterator[Move]:
        """Yield every move out of ``state`` that changes anything."""
        network, history = state[NETWORK], state[HISTORY]
        space, results, names = self.space, self.space.results, self.space.names
        inert, others, tearable = self._inert, self._others, self._tearable
        if self._sorted < len(space.packets):
            self._sort_packets()
        for slot, number in enumerate(state[NODES:]):
            if number not in others:
                self._meet(number, names[slot])
            known = results[number]
            head, tail = state[NODES : NODES + slot], state[NODES + slot + 1 :]
            for key in (*_bits(network & self._open[slot] & ~inert[number]), *others[number]):
                after, sent, note = known.get(key) or space.result(number, key)
                history_after = history
                if note is not None:
                    if note.violation is not None:
                        yield state, slot, key, False, note.violation
                        continue
                    history_after = space.history_after(history, names[slot], note)
                elif after == number and not sent & ~network:
                    if not sent and type(key) is int:
                        inert[number] |= 1 << key
                    continue
                if number in tearable:
                    torn = space.torn(number, key)
                    if torn is not None:
                        successor = (network | torn.sent, history, *head, torn.node, *tail)
                        yield successor, slot, key, True, None
                if self._beyond(after, sent):
                    self.pruned += 1
                    continue
                yield (network | sent, history_after, *head, after, *tail), slot, key, False, None

    def action(self, move: Move) -> Action:
        """Return a move for people."""
        _, slot, key, torn, _ = move
        return Action(self.space.names[slot], self.space.given(key), torn)

    # -- bounds -------------------------------------------------------------------------------

    def _sort_packets(self) -> None:
        """Look at the messages that are new since the last time."""
        packets, names = self.space.packets, self.space.names
        for number in range(self._sorted, len(packets)):
            source, target, _, message = packets[number]
            if self.bounds.joins(source, target):
                self._open[names.index(target)] |= 1 << number
            if isinstance(message, Forward | Piece) and message.confirm > self.bounds.confirms:
                self._beyond_packets |= 1 << number
        self._sorted = len(packets)

    def _meet(self, number: int, name: str) -> None:
        """Note what a node that was not met before may do besides taking messages."""
        node = self.space.nodes[number]
        self._inert[number] = 0
        self._others[number] = list(self._list_others(node, name))
        if node.record is not None and node.restarts < self.bounds.view_server_restarts:
            self._tearable.add(number)

    def _list_others(self, node: Node, name: str) -> Iterator[_Other]:
        for timer in Timer:
            if timer in node.timers and node.fired.get(timer, 0) < self.bounds.timers.get(timer, 0):
                yield timer
        if node.core is None:
            yield Fault.RESTART
        elif node.restarts < self._restarts(name):
            yield Fault.CRASH
        if name == VIEW_SERVER and node.core is not None and node.naps < self.bounds.naps:
            yield Fault.NAP
        if name == VIEW_SERVER and node.core is not None and node.losses < self.bounds.losses:
            yield from map(ConnectionLost, self.space.stage.ensemble.replicas)

    def _restarts(self, name: str) -> int:
        if name == VIEW_SERVER:
            return self.bounds.view_server_restarts
        return 0 if name in self.space.stage.loads else self.bounds.restarts

    def _beyond(self, number: int, sent: int) -> bool:
        if sent:
            self._sort_packets()
            if sent & self._beyond_packets:
                return True
        if self.bounds.views is None:
            return False
        known = self._beyond_nodes.get(number)
        if known is None:
            core = self.space.nodes[number].core
            view = getattr(core, "view", None)
            known = view is not None and view.number > self.bounds.views
            self._beyond_nodes[number] = known
        return known


def _bits(mask: int) -> Iterator[int]:
    """Yield the places of the bits that are set, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
